import t from 'tap'
import { backplaneConformance, createMemoryBackplane, type Backplane, type LogEntry, type LogStep, type MemoryBackplaneOptions, type SharedLog } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { messageOf, startOf, stepOf, valueOf } from '../lib/backplane/conformance/steps.js'

const LEASE_MS = 1_000

/** A process that has joined, with the messages and warnings that it was given. */
async function open (backplane: Backplane, id: string, clock = createVirtualClock()) {
  const [messages, warnings]: [string[], unknown[]] = [[], []]
  const onMessage = (text: string): void => {
    messages.push(text)
    if (text === 'broken') throw new Error('the host failed')
  }
  const log = backplane.connect({ clock, onMessage, onWarning: (err) => { warnings.push(err) } })
  const { position } = await log.join({ id, service: 'orders' })
  let number = 0
  const append = async (...steps: LogStep[]) => await log.append({ number: ++number, steps })
  return { log, clock, position, messages, warnings, append }
}

async function openAlone (options: MemoryBackplaneOptions = {}) {
  return await open(createMemoryBackplane(options), 'a')
}

const historyOf = async (log: SharedLog): Promise<LogEntry[]> => (await log.history()).flatMap(({ entries }) => entries)

t.test('an option that is not a whole number above 0 is refused', async (t) => {
  t.equal(createMemoryBackplane().leaseMs, 15_000)
  t.equal(createMemoryBackplane({ leaseMs: 50 }).leaseMs, 50)
  for (const options of [{ leaseMs: 0 }, { maxBatches: 1.5 }, { maxBytes: '1' as never }, { leaseMs: 2 ** 31 }]) {
    t.throws(() => createMemoryBackplane(options), { code: 'FST_MC_INVALID_OPTION', message: /backplane option (leaseMs|maxBatches|maxBytes)/ })
  }
})

t.test('each backplane has a log of its own', async (t) => {
  const [one, other] = [await openAlone(), await openAlone()]
  t.not(one.position.epoch, other.position.epoch)
  await one.append(startOf('m'))
  t.strictSame(await other.log.read(other.position, 0), { outcome: 'batches', batches: [] })
})

t.test('a log that is closed rejects every call', async (t) => {
  const { log, position } = await openAlone()
  await log.close()
  const calls = [
    log.join({ id: 'b', service: '' }), log.history(), log.read(position, 0), log.append({ number: 1, steps: [] }), log.renew(position), log.remove([]),
    log.send(undefined, ''), log.restart(position.epoch), log.leave(), (async () => { for await (const page of log.states()) t.fail(`${page.length} missions`) })()
  ]
  for (const call of calls) await t.rejects(call as Promise<void>, { code: 'FST_MC_CLOSING' })
  await t.resolves(log.close())
})

t.test('a failing receiver of messages is reported, and receives the next message', async (t) => {
  const { log, messages, warnings } = await openAlone()
  for (const text of ['broken', 'whole']) await log.send('a', text)
  await log.history()
  t.strictSame(messages, ['broken', 'whole'])
  t.match(warnings, [{ message: 'the host failed' }])
})

t.test('a value that is too long to be retained is reported, and its message is appended', async (t) => {
  const { log, position, append, warnings } = await openAlone()
  await append(messageOf('health_delta', 'h', { retain: { key: 'k', value: 'x'.repeat(65_537) } }), valueOf('x'.repeat(65), 'v'))
  t.match(warnings, [{ code: 'FST_MC_INVALID_PAYLOAD', message: /health_delta/ }, { code: 'FST_MC_INVALID_PAYLOAD' }])
  t.match(await log.read(position, 0), { batches: [{ entries: [{ messageId: 'h', offset: 1 }, { offset: 0 }] }] })
})

t.test('of too many values, those that were not set for longest are dropped', async (t) => {
  const { log, append } = await openAlone()
  for (let at = 0; at < 64; at++) await append(valueOf(`k${at}`, 'old'))
  await append(valueOf('k0', 'new'), valueOf('k64', 'new'))
  const { retained } = await log.join({ id: 'b', service: '' })
  t.equal(retained.length, 64)
  t.notOk(retained.some(([key]) => key === 'k1'))
  t.strictSame(retained.slice(-2), [['k0', 'new'], ['k64', 'new']])
})

t.test('a mission whose steps have no state has an empty one', async (t) => {
  const { log, append } = await openAlone()
  await append(startOf('m', { state: '' }))
  for await (const page of log.states()) t.match(page, [{ id: 'm', state: '', seq: 1 }])
})

t.test('a mission that is removed while missions are read is left out', async (t) => {
  const { log, append } = await openAlone()
  await append(...Array.from({ length: 1_500 }, (_, at) => stepOf(`m${at}`, 'completed')))
  const pages: number[] = []
  for await (const page of log.states()) {
    pages.push(page.length)
    await log.remove(Array.from({ length: 900 }, (_, at) => ({ id: `m${at}`, sequence: 1_500 })))
  }
  t.strictSame(pages, [500, 100, 500])
})

t.test('the batches have a bound in bytes too', async (t) => {
  const { log, position, append } = await openAlone({ maxBytes: 10_000 })
  for (let at = 0; at < 4; at++) await append(startOf(`m${at}`, { state: 'x'.repeat(4_000) }))
  t.strictSame(await log.read(position, 0), { outcome: 'trimmed' })
  const now = (await log.join({ id: 'a', service: '' })).position
  await append(startOf('large', { state: 'x'.repeat(20_000) }))
  t.strictSame(await log.read(now, 0), { outcome: 'trimmed' }, 'a batch that is larger than the bound is not kept')
})

t.test('tenants do not take the room of messages without a tenant in the history, in entries and in bytes', async (t) => {
  const { log, append } = await openAlone()
  await append(messageOf('health_delta', 'first'))
  for (let at = 0; at < 2_600; at++) await append(messageOf('health_delta', `n${at}`, { tenant: 'noisy' }))
  for (let at = 0; at < 50; at++) await append(messageOf('health_delta', `l${at}`, { tenant: 'large', update: 'x'.repeat(100_000) }))
  const entries = await historyOf(log)
  const count = (tenant: string | null): number => entries.filter((entry) => entry.tenant === tenant).length
  t.equal(count(null), 1)
  t.equal(count('noisy'), 2_500)
  t.equal(count('large'), 41)
})

t.test('of too many idle tenants, the counts and offsets of the oldest are forgotten', async (t) => {
  const { log, append } = await openAlone()
  await append(startOf('m', { tenant: 'active' }))
  for (let at = 0; at < 21; at++) {
    await append(...Array.from({ length: 1_000 }, (_, index) => stepOf(`m${at} ${index}`, 'completed', { tenant: `t${at} ${index}` })))
  }
  const { counts, heads } = await log.join({ id: 'b', service: '' })
  t.equal(counts.length, 10_002)
  t.match(counts[0], { tenant: null, active: 1, completed: 21_000 })
  t.match(counts[1], { tenant: 'active', active: 1 })
  t.equal(heads.length, 20_001)
  await append(stepOf('m0 0', 'completed', { tenant: 't0 0', attempt: 2 }))
  const again = await log.join({ id: 'b', service: '' })
  t.match(again.counts.at(-1), { tenant: 't0 0', completed: 1 })
  t.match(again.heads.at(-1), { tenant: 't0 0', offset: 1 })
})

t.test('it is known for an hour that an instance is fenced, and after that it may not append either', async (t) => {
  const backplane = createMemoryBackplane({ leaseMs: LEASE_MS })
  const clock = createVirtualClock()
  const [a, b, c] = [await open(backplane, 'a', clock), await open(backplane, 'b', clock), await open(backplane, 'c', clock)]
  await b.log.leave()
  await b.log.leave()
  const renewFor = async (ms: number): Promise<unknown> => {
    for (let left = ms; left > 0; left -= LEASE_MS / 2) {
      clock.advance(LEASE_MS / 2)
      await a.log.renew(a.position)
    }
    return await a.log.renew(a.position)
  }
  t.match(await renewFor(3_599_000), { fenced: ['b', 'c'], alive: [{ id: 'a' }] })
  await b.log.join({ id: 'b', service: '' })
  t.strictSame(await b.append(), { outcome: 'fenced' }, 'joining again does not help')
  t.match(await renewFor(2_000), { fenced: ['c'] })
  t.strictSame(await c.append(), { outcome: 'fenced' })
  t.match(await renewFor(10_000), { fenced: [] })
  t.strictSame(await c.append(), { outcome: 'fenced' })
  t.strictSame(await c.log.renew(c.position), { outcome: 'fenced' })
})

t.test('the conformance suite', async (t) => {
  t.test('waits in real time without a virtual clock, and removes each backplane', async (t) => {
    const [created, removed]: [Backplane[], Backplane[]] = [[], []]
    const checks = backplaneConformance({
      createBackplane: async () => {
        created.push(createMemoryBackplane())
        return created.at(-1)!
      },
      removeBackplane: async (backplane) => { removed.push(backplane) }
    })
    const waiting = checks.find(({ title }) => title.startsWith('A read that waits returns an empty list'))
    await waiting!.run()
    t.equal(removed.length, 1)
    t.strictSame(removed, created)
    t.notOk(checks.some(({ title }) => title.includes('trimmed')), 'a check that needs an option is left out')
  })

  t.test('has titles that differ', async (t) => {
    const titles = backplaneConformance({ createBackplane: createMemoryBackplane, trimmedAfter: 200 }).map(({ title }) => title)
    t.equal(new Set(titles).size, titles.length)
  })
})
