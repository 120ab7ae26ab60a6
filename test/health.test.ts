import fc from 'fast-check'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { type MonitoringDeps, MonitoringService, type HealthCheck, type HealthEvent, type HealthProvider } from '../lib/monitoring/index.js'
import { HealthHysteresis, type HealthTransition } from '../lib/monitoring/health/hysteresis.js'
import { compile } from '../lib/base/validation.js'
import { HealthSnapshot, type HealthReport, type HealthStatus } from '../schemas/index.js'
import { uncaught } from './support/app.js'

const SECRET = 'hunter2'
const INTERVAL_MS = 10_000
const TIMEOUT_MS = 5_000
const EVENTS = ['health_degraded', 'health_critical', 'system_recovery'] as const
const isHealthSnapshot = compile(HealthSnapshot)

const settle = async () => { await new Promise((resolve) => setImmediate(resolve)) }

const setup = (options: { provider?: HealthProvider, log?: MonitoringDeps['log'] } = {}) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const warnings: Array<Record<string, unknown>> = []
  const failures: Array<[string, unknown]> = []
  const changes: Array<Record<string, unknown>> = []
  const log: MonitoringDeps['log'] = options.log ?? {
    warn: (fields, message) => { (message === 'health changed' ? changes : warnings).push({ ...fields, message }) },
    info: (fields, message) => { changes.push({ ...fields, message }) }
  }
  const monitoring = new MonitoringService({
    clock,
    health: { intervalMs: INTERVAL_MS, ...options.provider && { provider: options.provider } },
    log,
    onCallbackError: (where, err) => failures.push([where, err])
  })
  const events: Array<[HealthEvent, HealthSnapshot]> = []
  for (const event of EVENTS) monitoring.on(event, (snapshot) => { events.push([event, snapshot]) })
  /** Moves time second by second, because runs settle between two steps. */
  const pass = async (ms: number) => {
    for (let rest = ms; rest > 0; rest -= 1_000) {
      clock.advance(Math.min(rest, 1_000))
      await settle()
    }
  }
  return {
    clock,
    monitoring,
    changes,
    warnings,
    failures,
    events,
    names: () => events.map(([event]) => event),
    add: (check: Partial<HealthCheck> = {}) => monitoring.addHealthCheck({ name: 'db', run: () => {}, ...check }),
    db: () => monitoring.health().components['db'],
    /** Starts the rounds and lets the first one end. */
    async start () { monitoring.start(); await settle() },
    pass,
    /** Moves to the next round, or to as many, and lets it end. */
    round: async (times = 1) => await pass(times * INTERVAL_MS)
  }
}

/** A function whose outcome can be changed from round to round. */
const switchable = (level: 'healthy' | 'degraded' | 'unhealthy' = 'healthy') => {
  const state = { level, run: () => ({ status: state.level }) }
  return state
}

const never = () => new Promise<void>(() => {})

t.test('transitions', async (t) => {
  const LEVELS: HealthStatus[] = ['healthy', 'degraded', 'critical']
  const short = { h: 'healthy', d: 'degraded', c: 'critical' } as const
  /** The status after each round, followed by the event of the transition if there is one. */
  const trace = (levels: string) => {
    const transitions = new HealthHysteresis()
    return [...levels].map((letter) => {
      const edge = transitions.observe(short[letter as keyof typeof short])
      return transitions.status[0] + (edge === undefined ? '' : `:${edge.event}`)
    }).join(' ')
  }

  t.test('need two bad rounds to get worse and three good rounds to get better', async (t) => {
    t.equal(new HealthHysteresis().status, 'unknown')
    t.equal(trace('hdd'), 'h h d:health_degraded')
    t.equal(trace('hcc'), 'h h c:health_critical')
    t.equal(trace('hdhdhd'), 'h h h h h h', 'a flap is no change')
    t.equal(trace('hcchhh'), 'h h c:health_critical c c h:system_recovery')
    t.equal(trace('hcchhchhh'), 'h h c:health_critical c c c c c h:system_recovery', 'a bad round starts the count again')
    t.equal(trace('hccdddhhh'), 'h h c:health_critical c c d:health_degraded d d h:system_recovery')
    t.equal(trace('hccdhhh'), 'h h c:health_critical c c d:health_degraded h:system_recovery', 'three rounds better than critical, the worst of them degraded')
    t.equal(trace('hddcc'), 'h h d:health_degraded d c:health_critical')
  })

  t.test('use the milder of two different bad results', async (t) => {
    t.equal(trace('hcd'), 'h h d:health_degraded')
    t.equal(trace('hdc'), 'h h d:health_degraded')
    t.equal(trace('hdcc'), 'h h d:health_degraded c:health_critical')
  })

  t.test('show a bad first round at once and announce it when a second one confirms it', async (t) => {
    t.equal(trace('cc'), 'c c:health_critical')
    t.equal(trace('dd'), 'd d:health_degraded')
    t.equal(trace('cd'), 'c d:health_degraded')
    t.equal(trace('chcc'), 'c c c c:health_critical')
    t.equal(trace('dcc'), 'd d:health_degraded c:health_critical')
    t.equal(trace('chhh'), 'c c c h:system_recovery', 'who saw it must hear that it is over')
  })

  const levels = fc.array(fc.constantFrom(...LEVELS), { maxLength: 60 })
  const rank = (level: HealthStatus) => LEVELS.indexOf(level)

  t.test('agree with a model that counts streaks', async () => {
    const model = (history: readonly HealthStatus[]) => {
      const atLeast = [0, 0, 0]
      const atMost = [0, 0, 0]
      let status = -1
      let announced = false
      const edges: Array<HealthStatus | undefined> = history.map((level) => {
        for (const rung of [0, 1, 2]) {
          atLeast[rung] = rank(level) >= rung ? atLeast[rung]! + 1 : 0
          atMost[rung] = rank(level) <= rung ? atMost[rung]! + 1 : 0
        }
        if (status < 0) {
          status = rank(level)
          announced = status === 0
          return undefined
        }
        const worse = [2, 1].find((rung) => rung > (announced ? status : 0) && atLeast[rung]! >= 2)
        const better = [0, 1].find((rung) => rung < status && atMost[rung]! >= 3)
        const next = worse ?? better
        if (next === undefined) return undefined
        status = next
        announced = true
        return LEVELS[next]
      })
      return { edges, status: LEVELS[status] ?? 'unknown' }
    }
    fc.assert(fc.property(levels, (history) => {
      const transitions = new HealthHysteresis()
      const edges = history.map((level) => transitions.observe(level)?.status)
      const expected = model(history)
      return transitions.status === expected.status && edges.every((edge, at) => edge === expected.edges[at])
    }), { numRuns: 1_000 })
  })

  t.test('together with any earlier status determine the current status', async () => {
    const event = { healthy: 'system_recovery', degraded: 'health_degraded', critical: 'health_critical' }
    fc.assert(fc.property(fc.constantFrom(...LEVELS), levels, (first, history) => {
      const transitions = new HealthHysteresis()
      transitions.observe(first)
      let seen = transitions.status
      return history.every((level) => {
        const edge: HealthTransition | undefined = transitions.observe(level)
        if (edge !== undefined) seen = edge.status
        return seen === transitions.status && (edge === undefined || edge.event === event[edge.status])
      })
    }), { numRuns: 1_000 })
  })
})

t.test('rounds', async (t) => {
  t.test('start at once, and leave the health unknown until the first has ended', async (t) => {
    const { clock, monitoring, add, names, start } = setup()
    let finish = (): void => {}
    add({ name: 'slow', run: () => new Promise<void>((resolve) => { finish = resolve }) })
    t.strictSame(monitoring.health(), { status: 'unknown', checkedAt: null, components: {} })
    await start()
    clock.advance(300)
    t.equal(monitoring.health().status, 'unknown')
    finish()
    await settle()
    t.strictSame(monitoring.health(), {
      status: 'healthy',
      checkedAt: Date.UTC(2026, 0, 1) + 300,
      components: { slow: { status: 'healthy', critical: false, responseTimeMs: 300, error: null, checkedAt: Date.UTC(2026, 0, 1) + 300 } }
    })
    t.strictSame(names(), [])
  })

  t.test('without any check make the service healthy', async (t) => {
    const { monitoring, start } = setup()
    await start()
    t.equal(monitoring.health().status, 'healthy')
  })

  t.test('run all checks in parallel', async (t) => {
    const { add, start } = setup()
    const begun: string[] = []
    for (const name of ['a', 'b', 'c']) add({ name, run: () => { begun.push(name); return never() } })
    await start()
    t.strictSame(begun, ['a', 'b', 'c'])
  })

  t.test('start only once, no matter how often the service is started', async (t) => {
    const { monitoring, add, start, round } = setup()
    let runs = 0
    add({ run: () => { runs += 1 } })
    await start()
    monitoring.start()
    t.equal(runs, 1)
    await round()
    t.equal(runs, 2)
  })

  t.test('return the same frozen snapshot until the next round', async (t) => {
    const { monitoring, add, start, round } = setup()
    add()
    await start()
    const snapshot = monitoring.health()
    t.equal(monitoring.health(), snapshot)
    t.ok(isHealthSnapshot(snapshot))
    t.ok(Object.isFrozen(snapshot) && Object.isFrozen(snapshot.components) && Object.isFrozen(snapshot.components['db']))
    await round()
    t.not(monitoring.health(), snapshot)
  })

  t.test('are skipped while the previous one waits for a slow check', async (t) => {
    const { clock, monitoring, add, start, round } = setup()
    add({ name: 'slow', run: never, timeoutMs: 15_000 })
    let runs = 0
    add({ name: 'fast', run: () => { runs += 1 } })
    await start()
    await round()
    t.equal(monitoring.health().status, 'unknown')
    t.equal(runs, 1)
    clock.advance(5_000)
    await settle()
    t.equal(monitoring.health().status, 'degraded')
    clock.advance(5_000)
    await settle()
    t.equal(runs, 2)
  })

  t.test('are not affected by steps of the wall clock', async (t) => {
    const { clock, add, start, round, db } = setup()
    let runs = 0
    add({ run: () => { runs += 1; clock.stepWallClock(-3_600_000) } })
    await start()
    t.equal(db()?.responseTimeMs, 0)
    clock.stepWallClock(86_400_000)
    await round(3)
    t.equal(runs, 4)
  })
})

t.test('a health check', async (t) => {
  t.test('emits one event after two bad rounds, and another after three good ones', async (t) => {
    const { monitoring, add, start, round, names, events } = setup()
    const check = switchable()
    add({ run: check.run, critical: true })
    await start()
    check.level = 'unhealthy'
    await round()
    t.equal(monitoring.health().status, 'healthy')
    t.equal(monitoring.health().components['db']?.status, 'unhealthy', 'the component shows at once')
    await round(4)
    t.strictSame(names(), ['health_critical'])
    t.equal(events[0]?.[1].status, 'critical')
    check.level = 'healthy'
    await round(2)
    t.equal(monitoring.health().status, 'critical')
    await round(4)
    t.strictSame(names(), ['health_critical', 'system_recovery'])
    t.equal(events[1]?.[1].status, 'healthy')
    t.equal(monitoring.health().status, 'healthy')
  })

  t.test('makes the service critical only if the check is critical', async (t) => {
    const statusOf = async (critical: boolean | undefined, level: 'degraded' | 'unhealthy') => {
      const { monitoring, add, start } = setup()
      add({ run: switchable(level).run, ...critical !== undefined && { critical } })
      add({ name: 'other', critical: true })
      await start()
      return [monitoring.health().status, monitoring.health().components['db']?.critical]
    }
    t.strictSame(await statusOf(true, 'unhealthy'), ['critical', true])
    t.strictSame(await statusOf(true, 'degraded'), ['degraded', true])
    t.strictSame(await statusOf(false, 'unhealthy'), ['degraded', false])
    t.strictSame(await statusOf(undefined, 'unhealthy'), ['degraded', false])
  })

  t.test('that throws or rejects fails with a code, and the exception is only logged', async (t) => {
    const failure = new Error(SECRET)
    for (const run of [() => { throw failure }, async () => { throw failure }]) {
      const { monitoring, add, start, round, warnings } = setup()
      add({ run })
      add({ name: 'other' })
      await start()
      await round(3)
      t.match(monitoring.health().components, { db: { status: 'unhealthy', error: 'check_failed' }, other: { status: 'healthy' } })
      t.notMatch(JSON.stringify(monitoring.health()), SECRET)
      t.strictSame(warnings, [{ err: failure, code: 'check_failed', check: 'db', message: 'health check failed' }], 'once, not once a round')
    }
  })

  t.test('is logged again when it fails with another code, or after a success', async (t) => {
    const { clock, add, start, round, warnings } = setup()
    let run: () => unknown = () => { throw new Error('first') }
    add({ run: () => run() as undefined })
    await start()
    run = () => 'garbage'
    await round()
    run = () => {}
    await round()
    run = () => { throw new Error('second') }
    await round()
    run = never
    await round()
    clock.advance(TIMEOUT_MS)
    await settle()
    t.strictSame(warnings.map(({ code }) => code), ['check_failed', 'invalid_report', 'check_failed', 'check_timeout'])
  })

  t.test('that takes too long fails, and its signal aborts with a reason', async (t) => {
    const { clock, monitoring, add, start, db } = setup()
    let reason: unknown
    add({ timeoutMs: 200, run: (signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => { reason = signal.reason; reject(signal.reason) })) })
    await start()
    clock.advance(199)
    await settle()
    t.equal(monitoring.health().status, 'unknown')
    clock.advance(1)
    await settle()
    t.match(reason, { code: 'FST_MC_HEALTH_CHECK_TIMEOUT', message: /200 ms/ })
    t.match(db(), { status: 'unhealthy', error: 'check_timeout', responseTimeMs: 200 }, 'its own rejection came too late')
    t.equal(monitoring.health().status, 'degraded')
  })

  t.test('that ends in time is not aborted', async (t) => {
    const { add, start, round } = setup()
    const signals: AbortSignal[] = []
    add({ run: (signal) => { signals.push(signal) } })
    await start()
    await round(2)
    t.equal(signals.length, 3)
    t.notOk(signals.some((signal) => signal.aborted))
  })

  t.test('that ignores its signal does not run again until it has settled', async (t) => {
    const { add, start, pass, round, db } = setup()
    const finish: Array<() => void> = []
    add({ run: () => new Promise<void>((resolve) => { finish.push(resolve) }) })
    await start()
    await pass(TIMEOUT_MS)
    t.match(db(), { status: 'unhealthy', error: 'check_timeout' })
    await pass(INTERVAL_MS - TIMEOUT_MS)
    await round(5)
    t.equal(finish.length, 1)
    t.match(db(), { status: 'unhealthy', error: 'check_timeout' })
    finish[0]!()
    await round()
    t.equal(finish.length, 2)
    finish[1]!()
    await settle()
    t.match(db(), { status: 'healthy', error: null })
  })

  t.test('that ends after its timeout stays failed until its next run', async (t) => {
    const { add, start, pass, round, db, warnings } = setup()
    let fail = (_: Error): void => {}
    add({ intervalMs: 25_000, run: () => new Promise((_resolve, reject) => { fail = reject }) })
    await start()
    await pass(TIMEOUT_MS)
    fail(new Error('late'))
    await round()
    t.match(db(), { error: 'check_timeout', responseTimeMs: TIMEOUT_MS })
    t.equal(warnings.length, 1)
  })

  t.test('may report with other properties, which stay in the process', async (t) => {
    const { monitoring, add, start } = setup()
    add({ run: () => ({ status: 'degraded', password: SECRET }) as { status: 'degraded' } })
    await start()
    t.match(monitoring.health(), { status: 'degraded', components: { db: { status: 'degraded', error: null } } })
    t.notMatch(JSON.stringify(monitoring.health()), SECRET)
  })

  t.test('that returns garbage is unhealthy with a code of its own', async (t) => {
    const nasty = { get status () { throw new Error('getter') } }
    for (const garbage of [null, true, 0, 'ok', [], {}, { status: 'fine' }, { status: 'critical' }, Symbol('s'), nasty]) {
      const { add, start, db } = setup()
      add({ run: async () => garbage as unknown as undefined })
      await start()
      t.match(db(), { status: 'unhealthy', error: 'invalid_report' })
    }
  })

  t.test('may be a method that needs its object', async (t) => {
    class Check {
      name = 'db'
      level = 'degraded' as const
      run () { return { status: this.level } }
    }
    const { monitoring, start, db } = setup()
    monitoring.addHealthCheck(new Check())
    await start()
    t.match(db(), { status: 'degraded', error: null })
  })

  t.test('with its own interval runs at that interval, and rounds use its last result', async (t) => {
    const { add, start, pass, round, db } = setup()
    let fast = 0
    let slow = 0
    add({ name: 'db', intervalMs: 4_000, run: () => { fast += 1; if (fast > 1) throw new Error('down') } })
    add({ name: 'rare', intervalMs: 25_000, run: () => { slow += 1 } })
    await start()
    t.strictSame([fast, slow], [1, 1])
    t.equal(db()?.status, 'healthy')
    await pass(4_000)
    t.equal(fast, 2)
    t.equal(db()?.status, 'healthy', 'the next round has not come')
    await pass(6_000)
    t.equal(fast, 3)
    t.equal(db()?.status, 'unhealthy')
    await round()
    t.strictSame([fast, slow], [6, 1])
    await round()
    t.strictSame([fast, slow], [8, 2], 'at 24 and 28, and at 25 s')
  })

  t.test('that is added later starts at once and counts from the next round', async (t) => {
    const { monitoring, add, start, pass, round, db } = setup()
    await start()
    let runs = 0
    add({ intervalMs: 3_000, run: () => { runs += 1 } })
    t.equal(runs, 1)
    t.strictSame(monitoring.health().components, {})
    await pass(3_000)
    t.equal(runs, 2)
    await round()
    t.equal(db()?.status, 'healthy')
  })

  t.test('that is added during a round does not count in that round', async (t) => {
    const { clock, monitoring, add, start } = setup()
    add({ name: 'slow', run: never })
    await start()
    add({ run: never, timeoutMs: 60_000 })
    clock.advance(TIMEOUT_MS)
    await settle()
    t.strictSame(Object.keys(monitoring.health().components), ['slow'])
  })

  t.test('that is removed is aborted, missing from the next round, and its name is free', async (t) => {
    const { monitoring, add, start, round } = setup()
    let signal: AbortSignal | undefined
    const remove = add({ intervalMs: 1_000, run: (given) => { signal = given; return never() } })
    await start()
    remove()
    remove()
    t.match(signal?.reason, { code: 'FST_MC_HEALTH_CHECK_REMOVED' })
    signal = undefined
    await settle()
    t.strictSame(monitoring.health().components, {}, 'and the round did not wait for it any longer')
    add()
    remove()
    await round(2)
    t.strictSame(Object.keys(monitoring.health().components), ['db'], 'the old remover does not touch the new check')
    t.throws(() => add(), { code: 'FST_MC_INVALID_HEALTH_CHECK' }, 'nor its name')
    t.equal(signal, undefined, 'its timer is gone')
  })

  t.test('that is invalid, or has the name of another check, is refused', async (t) => {
    const { monitoring, add } = setup()
    const run = () => {}
    const wrong: Array<[unknown, RegExp]> = [
      [undefined, /an object/], [null, /an object/], ['db', /an object/], [{}, /name must/], [{ name: '', run }, /name must/], [{ name: 5, run }, /name must/],
      [{ name: 'x'.repeat(65), run }, /name must/], [{ name: 'two\nlines', run }, /name must/], [{ name: 'db' }, /run must/], [{ name: 'db', run: SECRET }, /run must/],
      [{ name: 'db', run, critical: 'yes' }, /critical must/], [{ name: 'db', run, intervalMs: 0 }, /intervalMs must/], [{ name: 'db', run, intervalMs: 1.5 }, /intervalMs must/],
      [{ name: 'db', run, timeoutMs: 2 ** 31 }, /timeoutMs must/], [{ name: 'db', run, timeoutMs: '5' }, /timeoutMs must/]
    ]
    for (const [check, message] of wrong) {
      t.throws(() => monitoring.addHealthCheck(check as HealthCheck), { code: 'FST_MC_INVALID_HEALTH_CHECK', message })
    }
    add({ name: 'x'.repeat(64) })
    add()
    t.throws(() => add(), { code: 'FST_MC_INVALID_HEALTH_CHECK', message: /already a check named "db"/ })
  })

  t.test('may be named like a member of Object.prototype', async (t) => {
    const { monitoring, add, start } = setup()
    add({ name: '__proto__', run: switchable('unhealthy').run })
    await start()
    t.strictSame(Object.keys(monitoring.health().components), ['__proto__'])
    t.match(JSON.parse(JSON.stringify(monitoring.health())).components, JSON.parse('{"__proto__":{"status":"unhealthy"}}'))
    t.equal(({} as Record<string, unknown>)['status'], undefined)
  })

  t.test('that fails in any way leaves no unhandled rejection', async (t) => {
    const { clock, add, start, round, names } = setup()
    const nasty = { then () { throw new Error('from then') } }
    let late = (_: unknown): void => {}
    const runs: Array<() => unknown> = [() => { throw new Error('thrown') }, async () => { const nothing: unknown = null; throw nothing }, never, () => nasty,
      () => new Promise((_resolve, reject) => { late = reject }), () => ({ status: 'fine' })]
    runs.forEach((run, at) => add({ name: `check ${at}`, run: run as () => undefined }))
    const caught = await uncaught(async () => {
      await start()
      clock.advance(TIMEOUT_MS)
      await settle()
      late(new Error('late'))
      await round(2)
    })
    t.strictSame(caught, [])
    t.strictSame(names(), ['health_degraded'])
  })

  t.test('is not affected by a log that throws', async (t) => {
    const failure = new Error('disk full')
    const { add, start, db, failures } = setup({ log: { warn () { throw failure }, info () {} } })
    add({ run () { throw new Error('down') } })
    t.strictSame(await uncaught(start), [])
    t.match(db(), { error: 'check_failed' })
    t.strictSame(failures, [['log', failure]])
  })
})

t.test('the log tells of each change of the health and of the recovery once', async (t) => {
  const { monitoring, changes, add, start, pass } = setup()
  let isDown = true
  add({ critical: true, run () { if (isDown) throw new Error('down') } })
  await start()
  await pass(3 * INTERVAL_MS)
  t.strictSame(changes, [{ status: 'critical', failing: ['db'], message: 'health changed' }])
  isDown = false
  await pass(5 * INTERVAL_MS)
  monitoring.reportHealth('degraded')
  monitoring.reportHealth('degraded')
  monitoring.reportHealth('healthy')
  await pass(3 * INTERVAL_MS)
  t.strictSame(changes.slice(1), [
    { status: 'healthy', message: 'health recovered' },
    { status: 'degraded', failing: [], message: 'health changed' },
    { status: 'healthy', message: 'health recovered' }
  ])
})

t.test('closing', async (t) => {
  t.test('aborts running checks with a reason and starts no more', async (t) => {
    const { clock, monitoring, add, start, warnings } = setup()
    let signal: AbortSignal | undefined
    let runs = 0
    const remove = add({ run: (given) => { signal = given; return never() } })
    add({ name: 'own', intervalMs: 1_000, run: () => { runs += 1 } })
    await start()
    const before = monitoring.health()
    monitoring.close()
    t.match(signal?.reason, { code: 'FST_MC_CLOSING' })
    remove()
    clock.advance(60_000)
    await settle()
    t.equal(runs, 1)
    t.equal(monitoring.health(), before)
    t.strictSame(warnings, [])
  })

  t.test('leaves no timer running', async (t) => {
    const timers = new Set<object>()
    const { clock } = setup()
    const counting = (run: 'after' | 'every') => (ms: number, fire: () => void) => {
      const timer = clock[run](ms, () => { if (run === 'after') timers.delete(handle); fire() })
      const handle = { cancel () { timers.delete(handle); timer.cancel() } }
      timers.add(handle)
      return handle
    }
    const create = () => new MonitoringService({
      clock: { ...clock, after: counting('after'), every: counting('every') },
      health: { intervalMs: INTERVAL_MS, provider: async () => await new Promise<HealthReport>(() => {}) },
      log: { warn () {}, info () {} },
      onCallbackError () {}
    })
    const monitoring = create()
    monitoring.addHealthCheck({ name: 'quick', run () {} })
    monitoring.addHealthCheck({ name: 'hung', run: never })
    monitoring.addHealthCheck({ name: 'own', run: never, intervalMs: 1_000 })
    monitoring.start()
    await settle()
    t.equal(timers.size, 5, 'the rounds, one interval and three timeouts')
    monitoring.close()
    t.equal(timers.size, 0)
    const late = create()
    late.close()
    late.start()
    t.equal(timers.size, 0, 'nor does a start that comes after close')
  })

  t.test('from within a check ends the rounds too', async (t) => {
    const { clock, monitoring, add, start } = setup()
    let runs = 0
    add({ run: () => { runs += 1; monitoring.close() } })
    add({ name: 'next', run: () => { runs += 1 } })
    await start()
    clock.advance(60_000)
    await settle()
    t.equal(runs, 1)
    t.equal(monitoring.health().status, 'unknown')
  })
})

t.test('the provider', async (t) => {
  t.test('returns status and components, and nothing else leaves the process', async (t) => {
    const { monitoring, start } = setup({
      provider: async () => ({
        status: 'degraded',
        token: SECRET,
        components: { queue: { status: 'degraded', responseTimeMs: 12, url: SECRET }, disk: { status: 'healthy' } }
      }) as HealthReport
    })
    await start()
    const now = Date.UTC(2026, 0, 1)
    t.strictSame(monitoring.health(), {
      status: 'degraded',
      checkedAt: now,
      components: {
        queue: { status: 'degraded', critical: false, responseTimeMs: 12, error: null, checkedAt: now },
        disk: { status: 'healthy', critical: false, responseTimeMs: null, error: null, checkedAt: now }
      }
    })
  })

  t.test('cannot pass validation with one value and return another', async (t) => {
    let reads = 0
    const moody = { get status () { return reads++ === 0 ? 'healthy' : SECRET } }
    const { monitoring, start } = setup({ provider: () => ({ status: 'healthy', components: { moody } }) as HealthReport })
    await start()
    t.match(monitoring.health().components, { moody: { status: 'healthy' } })
  })

  t.test('is called once per round and needs two bad rounds like a check', async (t) => {
    let calls = 0
    const { start, round, names } = setup({ provider: () => ({ status: calls++ === 0 ? 'healthy' : 'critical' }) })
    await start()
    await round()
    t.strictSame(names(), [])
    await round()
    t.strictSame(names(), ['health_critical'])
    t.equal(calls, 3)
  })

  t.test('that throws, rejects, hangs or returns garbage is a failed component', async (t) => {
    const cases: Array<[string, () => unknown]> = [
      ['check_failed', () => { throw new Error(SECRET) }],
      ['check_failed', async () => { throw new Error(SECRET) }],
      ['check_timeout', never],
      ...[undefined, null, SECRET, 5, [], {}, { status: SECRET }, { status: 'unknown' }, { status: 'healthy', components: SECRET },
        { status: 'healthy', components: { [SECRET]: 'up' } }, { status: 'healthy', components: { [SECRET]: { status: SECRET } } },
        { status: 'healthy', components: { a: { status: 'healthy', responseTimeMs: NaN } } },
        { status: 'healthy', components: { a: { status: 'healthy', responseTimeMs: -1 } } },
        { status: 'healthy', components: { [SECRET.repeat(20)]: { status: 'healthy' } } },
        { status: 'healthy', components: { [`a\n${SECRET}`]: { anything: 'goes' } } },
        { status: 'healthy', components: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`c${i}`, { status: 'healthy' }])) }
      ].map((garbage): [string, () => unknown] => ['invalid_report', () => garbage])
    ]
    for (const [error, provider] of cases) {
      const { clock, monitoring, start, round, warnings } = setup({ provider: provider as HealthProvider })
      await start()
      clock.advance(TIMEOUT_MS)
      await settle()
      await round()
      t.match(monitoring.health(), { status: 'degraded', components: { provider: { status: 'unhealthy', error, critical: false } } })
      t.strictSame(Object.keys(monitoring.health().components), ['provider'])
      t.notMatch(JSON.stringify(monitoring.health()), SECRET)
      t.match(warnings, [{ code: error, message: 'health provider failed' }])
      t.equal(warnings.length, 1)
      if (error === 'invalid_report') t.notMatch(String(warnings[0]?.['err']), SECRET)
    }
  })

  t.test('that works again is no longer a component', async (t) => {
    let isBroken = true
    const { monitoring, start, round } = setup({ provider: () => { if (isBroken) throw new Error('down'); return { status: 'healthy' } } })
    await start()
    isBroken = false
    await round()
    t.strictSame(monitoring.health().components, {})
  })

  t.test('that reports a component with the name of a check results in the worse of both', async (t) => {
    const { monitoring, add, start } = setup({ provider: () => ({ status: 'healthy', components: { db: { status: 'degraded' }, up: { status: 'healthy' } } }) })
    add({ name: 'db' })
    add({ name: 'up', run: switchable('unhealthy').run })
    await start()
    t.match(monitoring.health().components, { db: { status: 'degraded' }, up: { status: 'unhealthy' } })
  })
})

t.test('a reason', async (t) => {
  t.test('of a check, of a component and of a reported status is shown with the details, cut to 256 characters', async (t) => {
    const { monitoring, start } = setup()
    monitoring.addHealthCheck({ name: 'queue', run: () => ({ status: 'degraded', reason: `4,711 jobs wait ${'x'.repeat(300)}` }) })
    monitoring.addHealthCheck({ name: 'ok', run: () => ({ status: 'healthy' }) })
    monitoring.reportHealth('degraded', { reason: 'read-only since the migration', components: { database: { status: 'degraded', reason: 'no primary' }, cache: { status: 'healthy' } } })
    await start()
    const { reason, components } = monitoring.health()
    t.equal(reason, 'read-only since the migration')
    t.equal(components['queue']!.reason, `4,711 jobs wait ${'x'.repeat(240)}`)
    t.equal(components['database']!.reason, 'no primary')
    t.notOk('reason' in components['ok']! || 'reason' in components['cache']!)
    monitoring.reportHealth('healthy')
    t.notOk('reason' in monitoring.health())
  })

  t.test('that is not a text makes the report invalid', async (t) => {
    const { monitoring, start } = setup()
    for (const reason of [5, null, {}] as never[]) {
      t.throws(() => monitoring.reportHealth('degraded', { reason }), { code: 'FST_MC_INVALID_HEALTH_REPORT' })
      t.throws(() => monitoring.reportHealth('degraded', { components: { a: { status: 'healthy', reason } } }), { code: 'FST_MC_INVALID_HEALTH_REPORT' })
    }
    monitoring.addHealthCheck({ name: 'queue', run: () => ({ status: 'degraded', reason: 5 as never }) })
    await start()
    t.match(monitoring.health().components['queue'], { status: 'unhealthy', error: 'invalid_report' })
  })
})

t.test('the reported status', async (t) => {
  t.test('holds at once and until the next report, with one event per change', async (t) => {
    const { monitoring, names, events, start, round } = setup()
    await start()
    monitoring.reportHealth('critical')
    t.equal(monitoring.health().status, 'critical')
    monitoring.reportHealth('critical')
    await round(5)
    t.equal(monitoring.health().status, 'critical')
    t.strictSame(names(), ['health_critical'])
    monitoring.reportHealth('degraded')
    monitoring.reportHealth('healthy')
    t.equal(events[2]?.[1], monitoring.health())
    monitoring.reportHealth('healthy')
    t.strictSame(names(), ['health_critical', 'health_degraded', 'system_recovery'])
    t.strictSame(events.map(([, snapshot]) => snapshot.status), ['critical', 'degraded', 'healthy'])
  })

  t.test('counts before the first round', async (t) => {
    const { monitoring, names, start } = setup()
    monitoring.reportHealth('healthy')
    t.match(monitoring.health(), { status: 'healthy', checkedAt: null })
    t.strictSame(names(), [], 'no recovery, as nothing was wrong')
    monitoring.reportHealth('degraded')
    t.strictSame(names(), ['health_degraded'])
    await start()
    t.equal(monitoring.health().status, 'degraded')
    t.strictSame(names(), ['health_degraded'])
  })

  t.test('and the status of the checks result in the worse of both, with one event if they agree', async (t) => {
    const { monitoring, add, start, round, names } = setup()
    const check = switchable()
    add({ run: check.run, critical: true })
    await start()
    check.level = 'unhealthy'
    await round()
    monitoring.reportHealth('critical')
    await round()
    t.strictSame(names(), ['health_critical'])
    monitoring.reportHealth('healthy')
    t.equal(monitoring.health().status, 'critical', 'the check is still bad')
    t.strictSame(names(), ['health_critical'])
    monitoring.reportHealth('degraded')
    check.level = 'healthy'
    await round(3)
    t.strictSame(names(), ['health_critical', 'health_degraded'], 'from critical to what the host still says')
    monitoring.reportHealth('healthy')
    t.strictSame(names(), ['health_critical', 'health_degraded', 'system_recovery'])
  })

  t.test('does not announce a bad first round of checks that is not confirmed', async (t) => {
    const { monitoring, add, start, round, names } = setup()
    add({ run: switchable('unhealthy').run, critical: true })
    await start()
    t.equal(monitoring.health().status, 'critical')
    monitoring.reportHealth('degraded')
    t.strictSame(names(), [])
    await round()
    t.strictSame(names(), ['health_critical'])
  })

  t.test('announces a bad first round at once, and its confirmation emits no further event', async (t) => {
    const { monitoring, add, start, round, names } = setup()
    add({ run: switchable('unhealthy').run, critical: true })
    await start()
    monitoring.reportHealth('critical')
    t.strictSame(names(), ['health_critical'])
    await round(2)
    t.strictSame(names(), ['health_critical'])
  })

  t.test('of degraded is announced again after an unconfirmed worse round', async (t) => {
    const { monitoring, add, start, round, names } = setup()
    const check = switchable('unhealthy')
    add({ run: check.run, critical: true })
    monitoring.reportHealth('degraded')
    await start()
    t.equal(monitoring.health().status, 'critical')
    check.level = 'healthy'
    await round(3)
    t.equal(monitoring.health().status, 'degraded')
    t.strictSame(names(), ['health_degraded', 'health_degraded'])
  })

  t.test('may name components, of which only status and response time are kept', async (t) => {
    const { clock, monitoring, start, round } = setup()
    await start()
    clock.advance(1_000)
    monitoring.reportHealth('degraded', { status: 'critical', components: { mail: { status: 'unhealthy', responseTimeMs: 3, user: SECRET } }, token: SECRET } as object)
    const component = { status: 'unhealthy', critical: false, responseTimeMs: 3, error: null, checkedAt: Date.UTC(2026, 0, 1) + 1_000 }
    t.strictSame(monitoring.health().components, { mail: component })
    t.equal(monitoring.health().status, 'degraded', 'the status that was said is the one that counts')
    await round()
    t.strictSame(monitoring.health().components, { mail: component })
    monitoring.reportHealth('healthy')
    t.strictSame(monitoring.health().components, {})
  })

  t.test('that is invalid is refused without repeating it, and changes nothing', async (t) => {
    const { monitoring, names } = setup()
    const wrong: Array<[unknown, unknown?]> = [[undefined], [SECRET], ['unknown'], [5], [{}], ['healthy', null], ['healthy', SECRET], ['healthy', []],
      ['healthy', { status: SECRET }], ['healthy', { components: SECRET }], ['healthy', { components: { [SECRET]: SECRET } }],
      ['healthy', { components: { [SECRET]: { status: SECRET } } }], ['healthy', { components: { [`x${SECRET}`.repeat(10)]: { status: 'healthy' } } }]]
    for (const [status, health] of wrong) {
      let thrown: unknown
      try { monitoring.reportHealth(status as HealthStatus, health as object) } catch (err) { thrown = err }
      t.match(thrown, { code: 'FST_MC_INVALID_HEALTH_REPORT', message: /^Invalid health report: \S/ })
      t.notMatch(String(thrown), SECRET)
    }
    t.equal(monitoring.health().status, 'unknown')
    t.strictSame(names(), [])
  })

  t.test('reaches every listener no matter what the others do', async (t) => {
    const { monitoring, names, failures } = setup()
    monitoring.on('health_critical', () => { throw new Error('thrown') })
    monitoring.on('health_critical', async () => { throw new Error('rejected') })
    let calls = 0
    monitoring.on('health_critical', () => { calls += 1 })
    t.strictSame(await uncaught(async () => monitoring.reportHealth('critical')), [])
    t.equal(calls, 1)
    t.strictSame(names(), ['health_critical'])
    t.match(failures, [['monitoring.health_critical', { message: 'thrown' }], ['monitoring.health_critical', { message: 'rejected' }]])
  })
})

t.test('any mix of rounds and reports', async (t) => {
  const state = fc.constantFrom<HealthStatus>('healthy', 'degraded', 'critical')
  const step = fc.record({ isWord: fc.boolean(), status: state })

  t.test('emits exactly one event per change of the status after the first round', async () => {
    await fc.assert(fc.asyncProperty(state, fc.array(step, { maxLength: 25 }), async (first, steps) => {
      let level = 'healthy' as HealthStatus
      const { monitoring, events, start, round } = setup({ provider: () => ({ status: level }) })
      await start()
      level = first
      for (const { isWord, status } of [{ isWord: true, status: first }, ...steps]) {
        const before = monitoring.health().status
        const count = events.length
        if (isWord) monitoring.reportHealth(status)
        else { level = status; await round() }
        const after = monitoring.health()
        const fresh = events.slice(count)
        if (fresh.length !== (after.status === before ? 0 : 1)) return false
        if (fresh.some(([event, snapshot]) => snapshot !== after || event !== { healthy: 'system_recovery', degraded: 'health_degraded', critical: 'health_critical', unknown: '' }[after.status])) return false
      }
      return true
    }), { numRuns: 60 })
  })
})
