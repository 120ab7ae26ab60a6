import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { isTerminal } from '../schemas/mission.js'
import type { Mission, MissionWork } from '../lib/missions/index.js'
import { MISSION_STATUSES, TERMINAL_STATUSES, type MissionUpdate, type OptionsInput } from '../schemas/index.js'
import { uncaught } from './support/app.js'
import { build, defer, settle, type Deferred, type Stand } from './support/missions.js'

type MissionOptions = NonNullable<OptionsInput['missions']>

/** One call of a history; the meaning of `at`, `other` and `n` depends on the kind. */
interface Call { kind: Kind, at: number, other: number, n: number }

const KINDS = [
  'start', 'run', 'spawn', 'child', 'retry', 'note', 'setParent', 'settle', 'reportById', 'report', 'progress', 'fail', 'cancelled', 'dispose', 'task', 'annotate',
  'heartbeat', 'waiting', 'extendTimeout', 'cancel', 'cancelById', 'abort', 'waitFor', 'subscribe', 'read', 'return', 'list',
  'reenter', 'advance', 'stepWallClock', 'turn'
] as const
type Kind = (typeof KINDS)[number]

/** What a recount needs of a mission. */
interface Counted { status: MissionUpdate['status'], isStalled: boolean, outcome?: { status: string, durationMs: number } | undefined }

const pick = <T>(list: readonly T[], n: number): T => list[n % list.length]!

/** Runs calls on a registry and checks its promises from outside after each. */
class History {
  readonly stand: Stand
  readonly faults: string[] = []
  /** The kinds of endings and cancel requests that occurred. */
  readonly reached = new Set<string>()
  readonly #known = new Set<Mission>()
  readonly #gates: Array<Deferred<unknown>> = []
  readonly #promises: Array<Promise<unknown>> = []
  readonly #controllers: AbortController[] = []
  readonly #readers: AsyncGenerator<unknown>[] = []
  /** Calls that the next updates make from within a listener. */
  readonly #reentrant: Call[] = []
  /** The updates of the last attempt of each mission. */
  readonly #streams = new Map<string, { attempt: number, seq: number, hasEnded: boolean }>()
  /** Attempts without a handle: a listener had started the next one before their first update was delivered. */
  readonly #replaced = new Map<string, Counted>()
  #endings = 0
  #starts = 0

  constructor (options: MissionOptions) {
    this.stand = build(options)
    this.stand.missions.on('mission_update', (update) => this.#receive(update))
    this.stand.missions.on('mission_update', ({ missionId }) => {
      const call = this.#reentrant.pop()
      if (call !== undefined) this.#play({ ...call, at: Number(missionId.slice(1)) || 0 })
    })
  }

  async play (call: Call): Promise<void> {
    if (call.kind === 'turn') await settle()
    else this.#play(call)
    this.#check(call.kind)
  }

  async end (): Promise<void> {
    const { missions, clock, registry } = this.stand
    this.#reentrant.length = 0
    const closing = registry.shutdown()
    for (let i = 0; i < 3; i++) await settle()
    clock.advance(100_000)
    await closing
    this.#check('shutdown')
    for (const gate of this.#gates) gate.resolve(undefined)
    registry.close()
    await Promise.allSettled(this.#promises)
    for (const reader of this.#readers) {
      for (let next = await reader.next(); next.done !== true; next = await reader.next());
    }
    this.#check('close')
    const { active, total } = missions.stats()
    this.#expect(active === 0, `${active} missions are still active`)
    this.#expect(this.#endings === total && this.#starts === total, `${total} missions, ${this.#starts} starts, ${this.#endings} endings`)
    this.#expect(clock.running === 0, `${clock.running} timers are left`)
    for (const { signal } of this.#controllers) {
      this.#expect(getEventListeners(signal, 'abort').length === 0, 'a listener is left on a signal')
    }
    this.#note()
    for (const [where] of this.stand.failures) this.#expect(where === 'mission_listener', `${where} failed`)
  }

  #expect (holds: boolean, fault: string): void {
    if (!holds) this.faults.push(fault)
  }

  #note (): void {
    const { lateOutcomes, refused } = this.stand.missions.stats()
    if (lateOutcomes > 0) this.reached.add('late')
    if (refused > 0) this.reached.add('refused')
    for (const { status, cancel } of [...this.#known].map((mission) => mission.view())) {
      this.reached.add(status)
      if (cancel !== null) this.reached.add(cancel.kind)
      if (cancel?.forced === true) this.reached.add('forced')
    }
  }

  #receive ({ missionId, attempt = 1, seq, status, durationMs }: MissionUpdate): void {
    const stream = this.#streams.get(missionId)
    this.#expect(seq === (stream?.seq ?? 0) + 1, `${missionId}: ${seq} after ${stream?.seq}`)
    if (attempt !== stream?.attempt) {
      this.#expect(stream === undefined || stream.hasEnded, `${missionId} starts again before it has ended`)
      this.#expect(attempt > (stream?.attempt ?? 0), `${missionId}: attempt ${attempt} after ${stream?.attempt}`)
      // Now, because a mission that a listener starts can end and be forgotten before the next check.
      const mission = this.stand.missions.get(missionId)
      if (mission?.attempt === attempt) this.#known.add(mission)
      else this.#replaced.set(`${missionId} ${attempt}`, { status, isStalled: false })
      this.#starts++
    } else this.#expect(!stream.hasEnded, `${missionId}: ${status} after its ending`)
    this.#streams.set(missionId, { attempt, seq, hasEnded: isTerminal(status) })
    if (isTerminal(status)) this.#endings++
    const replaced = this.#replaced.get(`${missionId} ${attempt}`)
    if (replaced === undefined) return
    replaced.status = status
    if (isTerminal(status)) replaced.outcome = { status, durationMs: durationMs! }
  }

  // Compares the totals with a recount of every mission so far.
  #check (after: string): void {
    const { missions, clock } = this.stand
    for (const { id } of missions.list({ limit: 200 }).missions) this.#known.add(missions.get(id)!)
    for (const { id, attempt } of this.#known) this.#replaced.delete(`${id} ${attempt}`)
    const all: Counted[] = [...this.#known, ...this.#replaced.values()]
    const count = (matches: (mission: Counted) => boolean) => all.filter(matches).length
    const durations = all.flatMap(({ outcome }) => outcome?.durationMs ?? [])
    const { avgDurationMs, lateOutcomes: _late, refused: _refused, untracked: _untracked, ...totals } = missions.stats()
    const recount = {
      active: count(({ outcome }) => outcome === undefined),
      completed: count(({ outcome }) => outcome?.status === 'completed'),
      cancelled: count(({ outcome }) => outcome?.status === 'cancelled'),
      errors: count(({ outcome }) => outcome?.status === 'error'),
      total: all.length,
      stalled: count(({ isStalled }) => isStalled)
    }
    for (const [name, value] of Object.entries(recount)) {
      const published = totals[name as keyof typeof recount]
      this.#expect(published === value, `${name} is ${published}, but a recount returns ${value}, after ${after}`)
    }
    const mean = durations.length === 0 ? -1 : durations.reduce((sum, ms) => sum + ms, 0) / durations.length
    this.#expect(Math.abs((avgDurationMs ?? -1) - mean) < 1e-6, `the mean is ${avgDurationMs}, not ${mean}`)
    this.#expect(all.every(({ status, outcome }) => isTerminal(status) === (outcome !== undefined)), 'a status and an outcome disagree')
    this.#expect(clock.running <= 1, `${clock.running} timers run`)
  }

  #add (mission: Mission): void {
    if (!mission.isTracked) this.reached.add('untracked')
    if (!mission.isTracked) return
    this.#known.add(mission)
    this.#promises.push(mission.done)
  }

  #work (n: number): MissionWork<unknown> {
    return async (mission) => {
      this.#add(mission)
      this.#expect(this.stand.missions.current() === mission, 'current() returns another mission')
      if (n % 6 === 0) return n
      if (n % 6 === 1) throw new Error('it broke')
      if (n % 6 === 2) mission.complete()
      if (n % 6 === 3) mission.signal.addEventListener('abort', () => mission.report(pick(MISSION_STATUSES, n)))
      const gate = defer<unknown>()
      this.#gates.push(gate)
      await gate.promise
      this.#expect(this.stand.missions.current() === mission, 'current() returns another mission after an await')
      if (n % 2 === 0) mission.signal.throwIfAborted()
    }
  }

  #play ({ kind, at, other, n }: Call): void {
    const { missions, clock } = this.stand
    const id = `m${at}`
    const attempt = pick([{}, {}, { attempt: 'next' as const }, { attempt: n % 5 + 1 }], n)
    const init = { id, name: 'job', ...attempt, ...(n % 3 === 0 && { timeoutMs: n + 1 }), ...(n % 7 === 0 && { parentId: `m${other}` }) }
    const mission = missions.get(id)
    const progress = { taskId: `t${other}`, index: other + 1, total: 9, status: pick(['started', 'completed'], n) }
    const signal = () => {
      const controller = new AbortController()
      this.#controllers.push(controller)
      return controller.signal
    }
    const calls: Record<Exclude<Kind, 'turn'>, () => unknown> = {
      start: () => this.#add(missions.start(init)),
      spawn: () => this.#add(missions.spawn(init, this.#work(n))),
      run: () => this.#promises.push(missions.run(init, this.#work(n)).catch(() => {})),
      child: () => mission && this.#add(mission.child(n % 2 === 0 ? 'child' : { id: `m${other}`, name: 'child' })),
      retry: () => mission && this.#add(mission.retry()),
      note: () => mission?.note('note', { n }),
      setParent: () => mission?.setParent(`m${other}`),
      settle: () => n % 2 === 0 ? pick(this.#gates, other)?.resolve(n) : pick(this.#gates, other)?.reject(new Error('late')),
      reportById: () => missions.report(id, pick(MISSION_STATUSES, n), { ...attempt, ...(n % 3 === 0 && { waiting: 'queued' }) }),
      report: () => {
        const details = { progress, tasksSummary: [1, 2], ...(n % 5 === 0 && { error: 'x' }) }
        return mission?.report(pick(MISSION_STATUSES, n), details)
      },
      progress: () => mission?.progress(progress),
      cancelled: () => mission?.cancelled(...(n % 2 === 0 ? ['enough'] : [])),
      fail: () => mission?.fail(n % 2 === 0 ? undefined : new Error('it broke')),
      dispose: () => mission?.[Symbol.asyncDispose](),
      task: () => {
        if (mission === undefined) return
        const gate = defer<unknown>()
        this.#gates.push(gate)
        this.#promises.push(mission.task(`t${other}`, async () => await gate.promise).catch(() => {}))
      },
      annotate: () => mission?.annotate({ [id]: n }),
      heartbeat: () => mission?.heartbeat(),
      waiting: () => mission?.waiting('for x'),
      extendTimeout: () => mission?.extendTimeout(n + 1),
      cancel: () => mission?.cancel({ reason: 'enough' }),
      cancelById: () => missions.cancel(id, { by: 'ann' }),
      abort: () => pick(this.#controllers, n)?.abort(),
      waitFor: () => {
        const waiting = missions.waitFor(id, { signal: signal(), ...(n % 2 === 0 && { timeoutMs: n }) })
        return this.#promises.push(waiting.catch(() => {}))
      },
      subscribe: () => this.#readers.push(missions.subscribe(n % 2 === 0 ? {} : { id }, { signal: signal() })),
      read: () => { if (this.#readers.length > 0) this.#promises.push(pick(this.#readers, n).next()) },
      return: () => { if (this.#readers.length > 0) this.#promises.push(pick(this.#readers, n).return(undefined)) },
      list: () => missions.list({ limit: n % 9 + 1, q: String(other) }),
      reenter: () => {
        const kinds = KINDS.filter((one) => one !== 'turn' && one !== 'advance')
        return this.#reentrant.push({ kind: pick(kinds, n), at, other, n })
      },
      advance: () => clock.advance(n / 7),
      stepWallClock: () => clock.stepWallClock(n * 1_000 - 500_000)
    }
    try {
      calls[kind as Exclude<Kind, 'turn'>]()
    } catch (err) {
      const { code } = err as { code?: string }
      this.#expect(/^FST_MC_(MISSION_(ENDED|LIVE)|TOO_MANY_MISSIONS|INVALID_PARENT)$/.test(code ?? ''), `${kind} threw ${String(err)}`)
    }
  }
}

t.test('any sequence of calls', async (t) => {
  const call: fc.Arbitrary<Call> = fc.record({ kind: fc.constantFrom(...KINDS), at: fc.nat(5), other: fc.nat(5), n: fc.nat(1_000) })
  const options: fc.Arbitrary<MissionOptions> = fc.record({
    maxActive: fc.constantFrom(4, 100),
    maxEnded: fc.integer({ min: 1, max: 4 }),
    endedRetentionMs: fc.integer({ min: 1, max: 1_000 }),
    cancelGraceMs: fc.integer({ min: 1, max: 300 }),
    closeGraceMs: fc.integer({ min: 1, max: 300 }),
    stallMs: fc.integer({ min: 1, max: 500 }),
    onStall: fc.constantFrom('flag', 'cancel', 'error'),
    maxProgressPerSecond: fc.constantFrom(1, 10, 1_000)
  })

  t.test('ends each mission once, emits no gaps, keeps the totals and leaves nothing behind', { timeout: 110_000 }, async (t) => {
    const reached = new Set<string>()
    const property = fc.asyncProperty(options, fc.array(call, { maxLength: 150, size: 'max' }), async (chosen, calls) => {
      const history = new History(chosen)
      for (const one of calls) await history.play(one)
      await history.end()
      for (const one of history.reached) reached.add(one)
      if (history.faults.length > 0) throw new Error(history.faults.slice(0, 5).join('\n'))
    })
    // A failure prints its seed and path; pass both to fc.assert to replay it.
    t.strictSame(await uncaught(async () => { await fc.assert(property, { numRuns: 400 }) }), [])
    const all = [...TERMINAL_STATUSES, 'forced', 'late', 'refused', 'request', 'timeout', 'stall', 'parent', 'shutdown', 'superseded', 'untracked']
    t.strictSame(all.filter((one) => !reached.has(one)), [], 'every kind of ending and cancel request occurred')
  })
})
