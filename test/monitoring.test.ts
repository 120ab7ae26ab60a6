import fc from 'fast-check'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { MonitoringService, type MonitoringEvents } from '../lib/monitoring/index.js'
import { LatencyWindow } from '../lib/monitoring/operations/latency-window.js'
import { compile } from '../lib/base/validation.js'
import { LatencySnapshot, Operation, OperationLatency } from '../schemas/index.js'
import { uncaught } from './support/app.js'

const SECRET = 'hunter2'
const isLatencySnapshot = compile(LatencySnapshot)
const isOperation = compile(Operation)
const isOperationLatency = compile(OperationLatency)

const setup = () => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const failures: Array<[string, unknown]> = []
  const monitoring = new MonitoringService({
    clock,
    health: { intervalMs: 10_000 },
    log: { warn () {}, info () {} },
    onCallbackError: (where, err) => failures.push([where, err])
  })
  const metrics: Operation[] = []
  monitoring.on('operation_metric', (operation) => { metrics.push(operation) })
  const track = (operation: Partial<Operation>) =>
    monitoring.trackOperation({ component: 'db', operation: 'query', status: 'success', ...operation })
  return { clock, monitoring, failures, metrics, track }
}

t.test('latency', async (t) => {
  const quantile = (values: number[], percent: number) => values.toSorted((a, b) => a - b)[Math.ceil(percent * values.length / 100) - 1] ?? 0
  const isClose = (estimate: number, exact: number) => Math.abs(estimate - exact) <= exact / 64

  t.test('is zero if nothing was measured', async (t) => {
    const { monitoring } = setup()
    t.strictSame(monitoring.latency(), { p50: 0, p95: 0, p99: 0, count: 0, windowMs: 60_000 })
  })

  t.test('has the percentiles of the recorded durations with an error of at most 1.6 %', async () => {
    const duration = fc.oneof(fc.constant(0), fc.double({ min: 0.001, max: 4_000_000, noNaN: true }), fc.integer({ min: 1, max: 300 }))
    fc.assert(fc.property(fc.array(duration, { minLength: 1, maxLength: 300 }), (durations) => {
      const window = new LatencyWindow(0)
      for (const one of durations) window.record(one, 0)
      const { p50, p95, p99, count } = window.snapshot(0)
      return count === durations.length && isClose(p50, quantile(durations, 50)) &&
        isClose(p95, quantile(durations, 95)) && isClose(p99, quantile(durations, 99))
    }))
  })

  t.test('forgets durations older than a minute in steps of ten seconds, across any gap', async () => {
    const step = fc.record({ gapMs: fc.oneof(fc.integer({ min: 0, max: 15_000 }), fc.integer({ min: 0, max: 500_000 })), durationMs: fc.integer({ min: 1, max: 1_000 }) })
    fc.assert(fc.property(fc.integer({ min: 0, max: 1e9 }), fc.array(step, { maxLength: 60 }), (startMs, steps) => {
      const window = new LatencyWindow(startMs)
      const records: Array<{ slice: number, durationMs: number }> = []
      let now = startMs
      return steps.every(({ gapMs, durationMs }) => {
        now += gapMs
        const isKept = ({ slice }: { slice: number }) => slice > Math.floor(now / 10_000) - 6
        const before = window.snapshot(now)
        const expected = records.filter(isKept).length
        window.record(durationMs, now)
        records.push({ slice: Math.floor(now / 10_000), durationMs })
        const kept = records.filter(isKept).map((record) => record.durationMs)
        const { p50, p99, count } = window.snapshot(now)
        return before.count === expected && count === kept.length && isClose(p50, quantile(kept, 50)) && isClose(p99, quantile(kept, 99))
      })
    }))
  })

  t.test('keeps zero and clamps durations outside of its range', async (t) => {
    const only = (durationMs: number) => {
      const window = new LatencyWindow(0)
      window.record(durationMs, 0)
      return window.snapshot(0)
    }
    t.equal(only(0).p50, 0)
    t.equal(only(-0).p50, 0)
    t.ok(isClose(only(Number.MIN_VALUE).p50, 2 ** -10), 'a microsecond')
    t.ok(only(Number.MAX_VALUE).p99 < 2 ** 22, 'seventy minutes')
    t.ok(isClose(only(Number.MAX_VALUE).p99, 2 ** 22))
  })

  t.test('covers all operations of the last minute, including failed ones', async (t) => {
    const { clock, monitoring, track } = setup()
    track({ durationMs: 100 })
    track({ durationMs: 3_000, status: 'error' })
    const latency = monitoring.latency()
    t.ok(isLatencySnapshot(latency))
    t.equal(latency.count, 2)
    t.ok(isClose(latency.p50, 100))
    t.ok(isClose(latency.p99, 3_000))
    clock.advance(61_000)
    t.strictSame(monitoring.latency(), { p50: 0, p95: 0, p99: 0, count: 0, windowMs: 60_000 })
  })

  t.test('is known for each of the 20 busiest operations of the last minute, busiest first', async (t) => {
    const { clock, monitoring, track } = setup()
    t.strictSame(monitoring.operationLatencies(), [])
    track({ operation: 'idle', durationMs: 5 })
    clock.advance(61_000)
    for (let i = 1; i <= 25; i++) {
      for (let n = 0; n < i; n++) track({ component: 'a b', operation: `op${i}`, durationMs: i, status: n === 0 ? 'error' : 'success' })
    }
    track({ operation: 'uncounted' })
    const latencies = monitoring.operationLatencies()
    t.strictSame(latencies.map(({ component, operation, count }) => [component, operation, count]),
      Array.from({ length: 20 }, (_, i) => ['a_b', `op${25 - i}`, 25 - i]))
    t.ok(latencies.every(({ p50Ms, p95Ms, p99Ms, count }) => [p50Ms, p95Ms, p99Ms].every((ms) => isClose(ms, count))))
    t.ok(latencies.every((one) => isOperationLatency(one)))
    for (let n = 0; n < 90; n++) track({ operation: 'skewed', durationMs: 10 })
    for (let n = 0; n < 8; n++) track({ operation: 'skewed', durationMs: 1_000 })
    for (let n = 0; n < 2; n++) track({ operation: 'skewed', durationMs: 9_000 })
    const [skewed] = monitoring.operationLatencies()
    t.match(skewed, { component: 'db', operation: 'skewed', count: 100 })
    t.ok(isClose(skewed!.p50Ms, 10) && isClose(skewed!.p95Ms, 1_000) && isClose(skewed!.p99Ms, 9_000))
    clock.advance(61_000)
    track({ operation: 'new', durationMs: 1 })
    t.match(monitoring.operationLatencies(), { length: 1, 0: { operation: 'new' } })
  })

  t.test('does not depend on the wall clock', async (t) => {
    const { clock, monitoring, track } = setup()
    track({ durationMs: 10 })
    clock.stepWallClock(-3_600_000)
    track({ durationMs: 10 })
    clock.stepWallClock(86_400_000)
    t.equal(monitoring.latency().count, 2)
  })
})

t.test('operations', async (t) => {
  t.test('that failed are counted as errors', async (t) => {
    const { monitoring, track } = setup()
    track({})
    track({ status: 'error', errorCode: 'ECONNRESET', durationMs: 4 })
    track({ status: 'error' })
    t.match(monitoring.operations().series, [{ component: 'db', operation: 'query', success: 1, error: 2, durationCount: 1, durationSumMs: 4 }])
  })

  t.test('fall into the first bucket whose bound they do not exceed', async (t) => {
    const { monitoring, track } = setup()
    const { boundsMs } = monitoring.operations()
    t.strictSame(boundsMs, [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000])
    for (const durationMs of [0, 1, 1.001, 2.5, 299_999, 300_000, 300_001, 1e300]) track({ durationMs })
    const { buckets, durationCount } = monitoring.operations().series[0]!
    t.equal(buckets.length, boundsMs.length + 1)
    t.strictSame([buckets[0], buckets[1], buckets[15], buckets[16]], [2, 2, 2, 2])
    t.equal(durationCount, 8)
  })

  t.test('with absurd durations keep a finite sum', async (t) => {
    const { monitoring, track } = setup()
    track({ durationMs: Number.MAX_VALUE })
    track({ durationMs: Number.MAX_VALUE })
    t.ok(Number.isFinite(monitoring.operations().series[0]!.durationSumMs))
  })

  t.test('with an invalid duration are counted without a duration', async (t) => {
    const { monitoring, metrics, track } = setup()
    for (const durationMs of [NaN, Infinity, -Infinity, -1]) track({ durationMs, errorCode: 'E' })
    monitoring.trackOperation({ component: 'db', operation: 'query', status: 'success', durationMs: undefined } as unknown as Operation)
    t.match(monitoring.operations().series, [{ success: 5, durationCount: 0, durationSumMs: 0 }])
    t.equal(monitoring.latency().count, 0)
    t.equal(metrics.length, 5)
    t.ok(metrics.every((metric) => isOperation(metric) && !('durationMs' in metric)))
  })

  t.test('have names that are safe label values', async (t) => {
    const { monitoring, track } = setup()
    const names: Array<[string, string]> = [
      ['api/v1:users.get-all_2', 'api/v1:users.get-all_2'],
      ['a"} 1\nfoo{b="', 'a___1_foo_b__'],
      ['é ☃ 𝒳', '_____'.concat('_')],
      ['x'.repeat(200), 'x'.repeat(64)],
      ['ü'.repeat(100), '_'.repeat(64)]
    ]
    for (const [operation] of names) track({ component: operation, operation })
    t.strictSame(monitoring.operations().series.map((series) => series.operation), names.map(([, label]) => label))
    t.strictSame(monitoring.operations().series.map((series) => series.component), names.map(([, label]) => label))
  })

  t.test('may be named like members of Object.prototype', async (t) => {
    const { monitoring, track } = setup()
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    for (const name of names) track({ component: name, operation: name, durationMs: 1 })
    t.strictSame(monitoring.operations().series.map((series) => [series.component, series.operation, series.success]), names.map((name) => [name, name, 1]))
    t.equal(({} as Record<string, unknown>)['success'], undefined)
  })

  t.test('beyond 500 pairs of names are counted together', async (t) => {
    const { monitoring, track } = setup()
    for (let i = 0; i < 2_000; i++) track({ component: `c${i % 100}`, operation: `o${Math.floor(i / 100)}`, status: i % 2 === 0 ? 'success' : 'error' })
    track({ component: 'c0', operation: 'o0' })
    const { series } = monitoring.operations()
    t.equal(series.length, 501)
    t.match(series[0], { component: 'c0', operation: 'o0', success: 2, error: 0 })
    t.match(series.at(-1), { component: 'other', operation: 'other', success: 750, error: 750 })
  })

  t.test('are emitted as a copy', async (t) => {
    const { monitoring, metrics } = setup()
    const given: Operation = { component: 'my db', operation: 'query', status: 'error', durationMs: 7, errorCode: 'E_X' }
    monitoring.trackOperation(given)
    t.strictSame(metrics, [given])
    t.not(metrics[0], given)
  })

  t.test('have totals that a reader cannot change', async (t) => {
    const { monitoring, track } = setup()
    track({ durationMs: 1 })
    const { series } = monitoring.operations()
    ;(series[0]!.buckets as number[])[0] = 99
    series[0]!.success = 99
    t.match(monitoring.operations().series[0], { success: 1 })
    t.equal(monitoring.operations().series[0]!.buckets[0], 1)
  })

  t.test('that are invalid are refused without repeating them', async (t) => {
    const { monitoring, metrics } = setup()
    const good = { component: 'db', operation: 'query', status: 'success' }
    const wrong: unknown[] = [undefined, null, SECRET, 1, [], {}, { ...good, status: SECRET }, { ...good, component: '' }, { ...good, operation: 5 },
      { ...good, durationMs: SECRET }, { ...good, durationMs: 1n }, { ...good, errorCode: 5 }, { ...good, [SECRET]: 1 }, { ...good, status: SECRET, durationMs: NaN }]
    for (const operation of wrong) {
      t.throws(() => monitoring.trackOperation(operation as Operation), { code: 'FST_MC_INVALID_OPERATION', message: /^Invalid operation: / })
      try { monitoring.trackOperation(operation as Operation) } catch (err) { t.notMatch(String(err), SECRET) }
    }
    t.strictSame(monitoring.operations().series, [])
    t.strictSame(metrics, [])
  })
})

t.test('timing', async (t) => {
  t.test('counts the outcome of a function and returns its result', async (t) => {
    const { clock, monitoring, metrics } = setup()
    const value = {}
    t.equal(monitoring.time('pdf', 'render', () => { clock.advance(12); return value }), value)
    const failure = Object.assign(new Error('no paper'), { code: 'E_PAPER' })
    let thrown: unknown
    try { monitoring.time('pdf', 'render', () => { clock.advance(3); throw failure }) } catch (err) { thrown = err }
    t.equal(thrown, failure)
    t.strictSame(metrics, [
      { component: 'pdf', operation: 'render', status: 'success', durationMs: 12 },
      { component: 'pdf', operation: 'render', status: 'error', durationMs: 3, errorCode: 'E_PAPER' }
    ])
  })

  t.test('waits for a promise to settle', async (t) => {
    const { clock, monitoring, metrics } = setup()
    let finish = (_: string): void => {}
    const pending = monitoring.time('db', 'query', async () => await new Promise<string>((resolve) => { finish = resolve }))
    clock.advance(40)
    t.strictSame(metrics, [], 'not before it has ended')
    finish('rows')
    t.equal(await pending, 'rows')
    const failure = new Error('gone')
    await t.rejects(monitoring.time('db', 'query', async () => { throw failure }), failure)
    t.strictSame(metrics.map(({ status, durationMs }) => [status, durationMs]), [['success', 40], ['error', 0]])
  })

  t.test('awaits a lazy query once', async (t) => {
    const { monitoring, metrics } = setup()
    let executions = 0
    const query = { then (resolve: (rows: number) => void) { executions += 1; resolve(3) } }
    t.equal(await monitoring.time('db', 'query', () => query as unknown as Promise<number>), 3)
    t.equal(executions, 1)
    t.equal(metrics.length, 1)
  })

  t.test('keeps an unhandled rejection visible to the host', async (t) => {
    const { monitoring } = setup()
    const failure = new Error('uncared for')
    const caught = await uncaught(async () => { monitoring.time('db', 'query', async () => { throw failure }) })
    t.strictSame(caught, [failure])
  })

  t.test('supports any thrown value', async (t) => {
    const { monitoring, metrics } = setup()
    const nasty = { get code () { throw new Error('from the getter') } }
    const thrown = [null, undefined, 0, 'text', Symbol('s'), nasty, { code: 42 }]
    for (const value of thrown) {
      let got: unknown = 'nothing'
      try { monitoring.time('a', 'b', () => { throw value }) } catch (err) { got = err }
      t.equal(got, value)
    }
    t.ok(metrics.every((metric) => metric.status === 'error' && metric.errorCode === undefined))
    t.equal(metrics.length, thrown.length)
  })

  t.test('truncates error codes', async (t) => {
    const { monitoring, metrics } = setup()
    try { monitoring.time('a', 'b', () => { throw Object.assign(new Error(), { code: 'E'.repeat(1_000) }) }) } catch {}
    t.equal(metrics[0]?.errorCode, 'E'.repeat(64))
  })

  t.test('with an invalid name is refused before the function runs', async (t) => {
    const { monitoring } = setup()
    let calls = 0
    t.throws(() => monitoring.time('', 'b', () => { calls += 1 }), { code: 'FST_MC_INVALID_OPERATION' })
    t.throws(() => monitoring.time('a', 5 as unknown as string, () => { calls += 1 }), { code: 'FST_MC_INVALID_OPERATION' })
    t.equal(calls, 0)
  })

  t.test('of work that ends after close is not counted, and the work is not affected', async (t) => {
    const { monitoring } = setup()
    let finish = (_: string): void => {}
    const pending = monitoring.time('db', 'query', async () => await new Promise<string>((resolve) => { finish = resolve }))
    monitoring.close()
    finish('rows')
    t.equal(await pending, 'rows')
    t.equal(monitoring.time('', '', () => 5), 5)
    t.strictSame(monitoring.operations().series, [])
  })
})

t.test('listeners', async (t) => {
  t.test('that throw or reject do not affect others', async (t) => {
    const { monitoring, failures, metrics, track } = setup()
    monitoring.on('operation_metric', () => { throw new Error('thrown') })
    monitoring.on('operation_metric', async () => { throw new Error('rejected') })
    monitoring.on('operation_metric', () => new Promise(() => {}))
    const after: unknown[] = []
    monitoring.on('operation_metric', (operation) => { after.push(operation) })
    const caught = await uncaught(async () => track({}))
    t.strictSame(caught, [])
    t.strictSame([metrics.length, after.length], [1, 1])
    t.match(failures, [['monitoring.operation_metric', { message: 'thrown' }], ['monitoring.operation_metric', { message: 'rejected' }]])
  })

  t.test('are not called after they were removed', async (t) => {
    const { monitoring, track } = setup()
    let calls = 0
    const off = monitoring.on('operation_metric', () => { calls += 1 })
    track({})
    off()
    off()
    track({})
    t.equal(calls, 1)
  })
})

t.test('after close', async (t) => {
  t.test('reports are ignored and queries still return the last state', async (t) => {
    const { clock, monitoring, metrics, track } = setup()
    track({ durationMs: 5 })
    monitoring.close()
    monitoring.close()
    t.doesNotThrow(() => monitoring.trackOperation(null as unknown as Operation))
    track({})
    monitoring.reportHealth('critical')
    monitoring.addHealthCheck({ name: 'db', run () { t.fail('ran') } })()
    monitoring.start()
    for (const event of ['operation_metric', 'health_degraded', 'health_critical', 'system_recovery'] satisfies Array<keyof MonitoringEvents>) {
      monitoring.on(event, () => t.fail('heard'))()
    }
    clock.advance(30_000)
    t.equal(monitoring.operations().series[0]?.success, 1)
    t.equal(monitoring.latency().count, 1)
    t.equal(monitoring.health().status, 'unknown')
    t.equal(metrics.length, 1)
  })
})
