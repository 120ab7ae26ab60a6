import { createMemoryBackplane, type AppendResult, type Backplane, type BackplaneContext, type LogBatch, type SharedLogPosition, type LogStep, type SharedLog, type StoredMission } from '../../lib/backplane/index.js'

/** What breaks is replaced; the rest is the memory backplane. `logs` has the logs of all processes. */
type Break = (log: SharedLog, logs: readonly SharedLog[], context: BackplaneContext, leaseMs: number) => Partial<SharedLog>

/** A backplane that does not keep the contract, and the beginning of the title of a check that must notice it. */
export interface BrokenBackplane { readonly flaw: string, readonly title: string, readonly create: () => Backplane }

function broken (flaw: string, title: string, breakLog: Break): BrokenBackplane {
  const create = (): Backplane => {
    const backplane = createMemoryBackplane({ maxBatches: 200 })
    const logs: SharedLog[] = []
    return {
      ...backplane,
      connect (context) {
        const log = backplane.connect(context)
        logs.push(log)
        const changed = breakLog(log, logs, context, backplane.leaseMs) as Record<string, unknown>
        return new Proxy(log, {
          get (target, name: keyof SharedLog) {
            const value = changed[name] ?? target[name]
            return (value as () => unknown).bind(target)
          }
        })
      }
    }
  }
  return { flaw, title, create }
}

/** Changes the batches that are read. */
const reading = (change: (batches: readonly LogBatch[]) => readonly LogBatch[]): Break => (log) => ({
  async read (after, waitMs) {
    const result = await log.read(after, waitMs)
    return result.outcome === 'batches' ? { ...result, batches: change(result.batches) } : result
  }
})

/** Changes the steps that are appended. */
const appending = (change: (step: LogStep) => LogStep): Break => (log) => ({
  append: async ({ number, steps }) => await log.append({ number, steps: steps.map(change) })
})

/** Changes the missions that are returned. */
const stating = (change: (mission: StoredMission) => StoredMission): Break => (log) => ({
  async * states () { for await (const page of log.states()) yield page.map(change) }
})

const never = async (): Promise<never> => await new Promise(() => {})

/** Appends each step as a batch of its own. */
const split: Break = (log) => ({
  async append ({ number, steps }) {
    const results: AppendResult[] = []
    for (const [at, step] of steps.entries()) results.push(await log.append({ number: number * 10_000 + at, steps: [step] }))
    const fenced = results.find(({ outcome }) => outcome === 'fenced')
    return fenced ?? { outcome: 'appended', verdicts: results.flatMap((one) => one.outcome === 'appended' ? one.verdicts : []) }
  }
})

/** Fences instances when they have been silent for `leases` leases, by whoever renews next. */
const fencingAfter = (leases: number): Break => {
  const lastRenewals = new WeakMap<SharedLog, number>()
  return (log, logs, { clock }, leaseMs) => ({
    async join (instance) {
      lastRenewals.set(log, clock.monotonic())
      return await log.join(instance)
    },
    async renew (position) {
      lastRenewals.set(log, clock.monotonic())
      for (const one of logs) if (clock.monotonic() - (lastRenewals.get(one) ?? Infinity) > leases * leaseMs) await one.leave()
      return await log.renew(position)
    }
  })
}

export const BROKEN_BACKPLANES: readonly BrokenBackplane[] = [
  broken('every batch has another sequence of numbers', 'A batch that is sent again', (log) => {
    let number = 0
    return { append: async ({ steps }) => await log.append({ number: ++number, steps }) }
  }),
  broken('a batch that is sent again is answered without its verdicts', 'A batch that is sent again', (log) => {
    const seen = new Set<number>()
    return {
      async append (batch) {
        const result = await log.append(batch)
        if (!seen.has(batch.number) || result.outcome === 'fenced') return (seen.add(batch.number), result)
        return { ...result, verdicts: batch.steps.map(() => 'applied') }
      }
    }
  }),
  broken('numbers of all processes are one sequence', 'Batches of two processes', (log, logs) => ({
    async append (batch) { return logs[0] === log ? await log.append(batch) : await logs[0]!.append(batch) }
  })),
  broken('a batch is appended in parts', 'The applied steps of a batch stay together', split),
  broken('numbers must be contiguous', 'A batch is appended even if the numbers', (log) => {
    let last = 0
    return {
      async append (batch) {
        if (batch.number > last + 1) return { outcome: 'fenced' }
        last = Math.max(last, batch.number)
        return await log.append(batch)
      }
    }
  }),
  broken('of each mission, a batch has one step', 'Steps within a batch', (log) => ({
    async append ({ number, steps }) {
      const firsts = steps.filter((step, at) => step.kind !== 'mission' || at === steps.findIndex((one) => one.kind === 'mission' && one.id === step.id))
      const result = await log.append({ number, steps: firsts })
      return result.outcome === 'fenced' ? result : { ...result, verdicts: steps.map((step) => result.verdicts[firsts.indexOf(step)] ?? 'applied') }
    }
  })),
  broken('batches are read in another order', 'All processes read the same batches', (log, logs, context, leaseMs) =>
    log === logs[0] ? reading((batches) => [...batches].sort((a, b) => b.instance.localeCompare(a.instance)))(log, logs, context, leaseMs) : {}),
  broken('a batch gets lost on the way', 'A process can read on', reading((batches) => batches.filter(({ number }) => number !== 3))),
  broken('the chain of tokens is not told', 'Each batch names the position', reading((batches) => batches.map((batch) => ({ ...batch, previous: '' })))),
  broken('the time is not that of the wall clock', 'A batch has the time', reading((batches) => batches.map((batch) => ({ ...batch, at: 5 })))),
  broken('a large batch is cut', 'A batch of 2,000 steps', (log) => ({
    async append ({ number, steps }) {
      const result = await log.append({ number, steps: steps.slice(0, 1_500) })
      return result.outcome === 'fenced' ? result : { ...result, verdicts: steps.map((_, at) => result.verdicts[at] ?? 'applied') }
    }
  })),
  broken('numbers have 14 digits', 'Large and fractional numbers', appending((step) =>
    step.kind === 'mission' ? { ...step, durationMs: Number(step.durationMs.toPrecision(14)) } : step)),
  broken('an empty text and null are the same', 'Every text of another message', appending((step) =>
    step.kind === 'publication' ? { ...step, tenant: step.tenant === 'null' ? null : step.tenant } : step)),
  broken('long texts are cut', 'A text of 200,000 characters', appending((step) => ({ ...step, update: step.update.slice(0, 100_000) }))),
  broken('texts end at a zero character', 'Every text of a mission', appending((step) => ({ ...step, update: step.update.replace(/\0.*/, '') }))),
  broken('the last ending wins', 'The first ending of a mission wins', appending((step) =>
    step.kind === 'mission' && step.status === 'cancelled' ? { ...step, attempt: step.attempt + 1 } : step)),
  broken('a mission can go back', 'A status before the present one', appending((step) =>
    step.kind === 'mission' && step.status === 'planned' ? { ...step, status: 'execution_progress' } : step)),
  broken('a second start is applied', 'A start of an active mission', appending((step) =>
    step.kind === 'mission' && step.isStart && !step.isRun ? { ...step, isStart: false } : step)),
  broken('a loss is an ordinary ending', 'A mission that ran in a process that is gone', appending((step) => ({ ...step, lostWith: undefined }))),
  broken('no function is ever lost', 'An instance that leaves', appending((step) => ({ ...step, isRun: false }))),
  broken('everybody who reports a mission owns it', 'A mission belongs to the process', stating((mission) => ({ ...mission, owner: 'process-2' }))),
  broken('offsets are sequences', 'Reliable entries are counted', reading((batches) => batches.map((batch) => ({
    ...batch, entries: batch.entries.map((entry) => ({ ...entry, offset: entry.sequence }))
  })))),
  broken('what clients are not told takes an offset', 'Refused steps, and reliable ones', appending((step) => ({ ...step, update: step.update || '{}' }))),
  broken('tenants have no heads', 'On join, the heads', (log) => ({
    async join (instance) {
      const joined = await log.join(instance)
      return { ...joined, heads: joined.heads.filter(({ tenant }) => tenant === null) }
    }
  })),
  broken('missions do not know their offset', 'A mission has the offsets', stating((mission) => ({ ...mission, tenantOffset: 0 }))),
  broken('the history has states', 'The history contains the reliable entries', (log) => ({
    history: async () => (await log.history()).map((batch) => ({ ...batch, entries: batch.entries.map((entry) => entry.kind === 'mission' ? { ...entry, state: '{}' } : entry) }))
  })),
  broken('the history has no bound', 'The history has a bound', (log, logs) => {
    const all: LogBatch[] = []
    let position: SharedLogPosition | undefined
    return {
      async join (instance) {
        const joined = await log.join(instance)
        position = joined.position
        return joined
      },
      async append (batch) {
        const result = await log.append(batch)
        const read = await log.read(position!, 0)
        if (logs.length === 1 && read.outcome === 'batches') {
          all.push(...read.batches)
          for (const { epoch, token, entries } of read.batches) position = { epoch, token, sequence: entries.at(-1)!.sequence }
        }
        return result
      },
      history: async () => logs.length === 1 ? all : await log.history()
    }
  }),
  broken('counts are those of the first join', 'On join, the counts', (log) => {
    let counts: Awaited<ReturnType<SharedLog['join']>>['counts'] | undefined
    return {
      async join (instance) {
        const joined = await log.join(instance)
        counts ??= joined.counts
        return { ...joined, counts }
      }
    }
  }),
  broken('an attempt that is replaced stays active', 'Entries tell which attempts begin', reading((batches) => batches.map((batch) => ({
    ...batch, entries: batch.entries.map((entry) => entry.kind === 'mission' ? { ...entry, isReplacing: false } : entry)
  })))),
  broken('only the first missions are returned', 'All missions are returned', (log) => ({
    async * states () {
      let isFirst = true
      for await (const page of log.states()) {
        if (isFirst) yield page
        isFirst = false
      }
    }
  })),
  broken('missions are not stored', 'A stored mission is what its entries say', () => ({ async * states () {} })),
  broken('states are mixed', 'A stored mission is what its entries say', stating((mission) => ({ ...mission, state: mission.state.replace('started', 'progress') }))),
  broken('all ended missions are removed', 'Ended missions can be removed', (log) => ({
    remove: async (missions) => await log.remove(missions.map(({ id }) => ({ id, sequence: Infinity })))
  })),
  broken('a read waits in vain', 'A read that waits returns', (log, _logs, { clock }) => ({
    async read (after, waitMs) {
      const result = await log.read(after, 0)
      if (result.outcome !== 'batches' || result.batches.length > 0 || waitMs === 0) return result
      return await new Promise((resolve) => clock.after(waitMs, () => resolve(result)))
    }
  })),
  broken('a read never ends', 'A read that waits returns an empty list', (log) => ({
    read: async (after, waitMs) => waitMs === 20 ? await never() : await log.read(after, waitMs)
  })),
  broken('a position is not checked', 'A read after a position that the log does not contain', (log) => ({
    async read (after, waitMs) {
      const result = await log.read(after, waitMs)
      return result.outcome === 'diverged' ? { outcome: 'batches', batches: [] } : result
    }
  })),
  broken('trimmed entries are left out silently', 'A read after a position whose next batch', (log) => ({
    async read (after, waitMs) {
      const result = await log.read(after, waitMs)
      return result.outcome === 'trimmed' ? { outcome: 'batches', batches: [] } : result
    }
  })),
  broken('every restart makes another epoch', 'Processes that ask for another epoch', (log) => ({
    async restart () { await log.restart((await log.join({ id: 'restarter', service: '' })).position.epoch) }
  })),
  broken('the epoch never changes', 'Another epoch makes every position diverge', () => ({ async restart () {} })),
  broken('closing leaves reads open', 'Closing the log of a process', () => ({ async close () {} })),
  broken('fenced instances are not told', 'An instance that leaves', (log) => ({
    async renew (position) {
      const result = await log.renew(position)
      return result.outcome === 'renewed' ? { ...result, fenced: [] } : result
    }
  })),
  broken('instances are sorted', 'Renewing returns the instances', (log) => ({
    async renew (position) {
      const result = await log.renew(position)
      return result.outcome === 'renewed' ? { ...result, alive: [...result.alive].reverse() } : result
    }
  })),
  broken('a fenced instance may append', 'An instance that is silent', (log) => {
    let tries = 0
    return {
      async append (batch) {
        const result = await log.append(batch)
        if (result.outcome === 'appended') return result
        await log.join({ id: `again-${++tries}`, service: '' })
        return await log.append(batch)
      }
    }
  }),
  broken('nobody is ever fenced', 'An instance that is silent', (log, logs) => ({
    async renew (position) {
      // As if the others had renewed too.
      for (const one of logs) if (one !== log) await one.renew(position)
      return await log.renew(position)
    }
  })),
  broken('leaving does nothing', 'An instance that leaves', () => ({ async leave () {} })),
  broken('there is no grace', 'When nobody could renew', fencingAfter(1)),
  broken('leases are too short', 'An instance that renews its lease in time', fencingAfter(0.1)),
  broken('a lease that has lapsed cannot be renewed', 'A lease that has lapsed', (log, _logs, { clock }, leaseMs) => {
    let last = clock.monotonic()
    return {
      append: async (batch) => clock.monotonic() - last > leaseMs ? { outcome: 'fenced' } : await log.append(batch),
      async renew (position) {
        last = clock.monotonic()
        return await log.renew(position)
      }
    }
  }),
  broken('a position that has diverged costs the lease', 'Renewing with a position', (log) => ({
    async renew (position) {
      const result = await log.renew(position)
      if (result.outcome === 'diverged') await log.leave()
      return result
    }
  })),
  broken('each process has a secret of its own', 'Processes that join a new log', (log) => ({
    join: async (instance) => ({ ...await log.join(instance), secret: `secret of the process ${instance.id}` })
  })),
  broken('messages reach everybody', 'A message to one instance', (log) => ({ send: async (_to, text) => await log.send(undefined, text) })),
  broken('the sender does not hear itself', 'A message to all', (log, logs) => ({
    async send (to, text) {
      if (to !== undefined) return await log.send(to, text)
      for (const one of logs) if (one !== log) await one.send('process-1', text)
    }
  })),
  broken('a closed process receives messages', 'A process whose log is closed', (_log, _logs, { onMessage }) => ({
    async close () { onMessage('late') }
  })),
  broken('retained values are forgotten', 'A retained value is read', (log) => ({ join: async (instance) => ({ ...await log.join(instance), retained: [] }) })),
  broken('entries do not have the retained value', 'An entry has the value', reading((batches) => batches.map((batch) => ({
    ...batch, entries: batch.entries.map((entry) => entry.kind === 'publication' ? { ...entry, retain: undefined } : entry)
  })))),
  broken('any number of values is retained', 'At most 64 values', (log) => {
    const values = new Map<string, string>()
    return {
      async append (batch) {
        for (const step of batch.steps) if (step.kind === 'publication' && step.retain) values.set(step.retain.key, step.retain.value)
        return await log.append(batch)
      },
      join: async (instance) => ({ ...await log.join(instance), retained: [...values] })
    }
  }),
  broken('something is dropped with a warning', 'A batch of 2,000 steps', (log, _logs, { onWarning }) => ({
    async append (batch) {
      if (batch.steps.length > 1_000) onWarning(new Error('an entry is broken'))
      return await log.append(batch)
    }
  })),
  broken('a verdict differs', 'Random steps have the same verdicts', (log) => ({
    async append (batch) {
      const result = await log.append(batch)
      if (result.outcome === 'fenced') return result
      const verdicts = result.verdicts.map((verdict, at) => verdict === 'stale' && batch.steps[at]!.messageId.startsWith('message ') ? 'terminal' : verdict)
      return { ...result, verdicts }
    }
  })),
  broken('the epoch is not random', 'The position of an empty log', (log) => ({ join: async (instance) => ({ ...await log.join(instance), position: { epoch: '', sequence: 0, token: '' } }) }))
]
