import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { SavedSignals } from '../schemas/cluster/saved-signals.js'
import type { OperationLatency } from '../schemas/metrics.js'
import type { AdaptiveOptions } from '../schemas/options/adaptive.js'
import { compile } from '../lib/base/validation.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { ClusterAlerts } from '../lib/cluster/alerts/cluster-alerts.js'
import type { Picture } from '../lib/cluster/picture/picture.js'
import { AdaptiveSignals } from '../lib/monitoring/alerts/adaptive/adaptive-signals.js'
import type { SavedSignal } from '../lib/monitoring/alerts/adaptive/signal.js'
import type { AlertCondition } from '../lib/monitoring/alerts/condition.js'
import { Envelope } from '../lib/monitoring/alerts/envelope.js'
import type { EnvelopeOptions, EnvelopeVerdict } from '../lib/monitoring/alerts/envelope-types.js'
import { AlertLifecycle } from '../lib/monitoring/alerts/lifecycle/lifecycle.js'
import type { ScopeAlerts } from '../lib/monitoring/alerts/scope-alerts.js'
import { boot } from './support/app.js'
import { onlyWith, pathOf } from './support/skip.js'
import { traceFile } from './support/trace-data.js'

const HOUR_MS = 3_600_000

interface NabResult { rows: number, windows: Array<[number, number]>, alerts: number[] }
interface NabScore { standard: number, lowFalsePositives: number, lowFalseNegatives: number, falseAlarms: number, found: number }
const { scoreNab, probationOf } = await import(new URL('../bench/alerts/nab-score.mjs', import.meta.url).href) as {
  scoreNab: (results: NabResult[]) => NabScore
  probationOf: (rows: number) => number
}

/** A sample of regular work: between 90 and 110, in no order. */
const usual = (index: number): number => 90 + index * 7_919 % 21

/** An envelope that has seen regular work. */
function learned (options?: EnvelopeOptions, samples = 1_000): Envelope {
  const envelope = new Envelope(options)
  for (let i = 0; i < samples; i++) envelope.push(usual(i))
  return envelope
}

const anyNumber = fc.oneof(
  fc.double(),
  fc.constantFrom(0, -0, 1e308, -1e308, 1e154, -1e154, Number.MAX_VALUE, Number.MIN_VALUE, NaN, Infinity, -Infinity),
  fc.integer({ min: -5, max: 5 })
)

t.test('regular work is no alert, and a value far outside of it is one', async (t) => {
  const envelope = new Envelope()
  for (let i = 0; i < 1_000; i++) t.notOk(envelope.push(usual(i)).alert, `sample ${i}`)
  const { alert, score, view, observed, baseline, low, high } = envelope.push(300)
  t.ok(alert)
  t.ok(score >= 1)
  t.equal(view, 'sample')
  t.equal(observed, 300)
  t.ok(baseline > 99 && baseline < 102, `baseline ${baseline}`)
  t.ok(low < -8 && low > -16 && high > 8 && high < 16, `range ${low} to ${high}`)
})

t.test('a small shift that lasts is found in the mean of the samples', async (t) => {
  const envelope = learned()
  const verdicts = Array.from({ length: 100 }, (_, i) => envelope.push(usual(i) + 9))
  const [found, ...others] = verdicts.filter(({ alert }) => alert)
  t.equal(found?.view, 'level')
  t.strictSame(others, [])
})

t.test('an alert starts once: not again while the disturbance lasts, and after 20 quiet samples it may', async (t) => {
  const envelope = learned()
  t.ok(envelope.push(1_000).alert)
  t.notOk(envelope.push(2_000).alert)
  for (let i = 0; i < 19; i++) envelope.push(usual(i))
  t.notOk(envelope.push(5_000).alert, 'after 19')
  for (let i = 0; i < 20; i++) envelope.push(usual(i))
  t.ok(envelope.push(20_000).alert, 'after 20')
})

t.test('no input gives an alert before the 100th sample', async () => {
  fc.assert(fc.property(fc.array(anyNumber, { minLength: 99, maxLength: 99 }), (values) => {
    const envelope = new Envelope({ sensitivity: 'max' })
    return values.every((value) => !envelope.push(value).alert)
  }), { numRuns: 50 })
})

t.test('any numbers and times leave a finite state and give a finite score', async () => {
  const samples = fc.array(fc.tuple(anyNumber, fc.option(anyNumber, { nil: undefined }), fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 300 })
  const directions = fc.constantFrom('up', 'down', 'both')
  const sensitivities = fc.constantFrom('low', 'normal', 'high', 'max')
  fc.assert(fc.property(samples, directions, sensitivities, (list, direction, sensitivity) => {
    const envelope = new Envelope({ direction, sensitivity })
    for (const [value, atMs, pace] of list) {
      const { alert, view, ...numbers } = envelope.push(value, atMs, pace)
      if (!Object.values(numbers).every(Number.isFinite)) return false
    }
    return envelope.save().every(Number.isFinite)
  }), { numRuns: 300 })
})

t.test('a sample that is not finite changes nothing', async (t) => {
  const envelope = learned()
  const before = envelope.save()
  for (const value of [NaN, Infinity, -Infinity]) t.match(envelope.push(value, 0), { score: 0, alert: false })
  t.strictSame(envelope.save(), before)
})

t.test('a time that is not finite is as no time', async (t) => {
  const [one, other] = [learned(), learned()]
  for (let i = 0; i < 200; i++) t.strictSame(one.push(usual(i) * i, [NaN, Infinity, -Infinity][i % 3]), other.push(usual(i) * i))
  t.strictSame(one.save(), other.save())
})

t.test('the unit of a signal does not matter', async () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 120 }), fc.constantFrom(2 ** -10, 2 ** 20), (values, unit) => {
    const [one, other] = [new Envelope({ minDelta: 3 }), new Envelope({ minDelta: 3 * unit })]
    return [7, ...values].every((value) => one.push(value).score === other.push(value * unit).score)
  }), { numRuns: 50 })
})

t.test('`direction` says on which side an excess counts', async (t) => {
  t.ok(learned().push(300).alert && learned().push(-300).alert)
  t.ok(learned({ direction: 'up' }).push(300).alert && !learned({ direction: 'up' }).push(-300).alert)
  t.ok(!learned({ direction: 'down' }).push(300).alert && learned({ direction: 'down' }).push(-300).alert)
  fc.assert(fc.property(fc.array(fc.integer({ min: -1_000, max: 1_000 })), (values) => {
    const [up, down] = [new Envelope({ direction: 'up' }), new Envelope({ direction: 'down' })]
    return values.every((value) => up.push(value).score === down.push(-value).score)
  }), { numRuns: 50 })
})

t.test('an excess below `minDelta` does not matter', async (t) => {
  t.ok(learned({ sensitivity: 'max' }).push(120).alert)
  t.notOk(learned({ sensitivity: 'max', minDelta: 20 }).push(120).alert)
  t.ok(learned({ sensitivity: 'max', minDelta: 20 }).push(140).alert)
})

t.test('a higher sensitivity gives a higher score', async (t) => {
  const scores = (['low', 'normal', 'high', 'max'] as const).map((sensitivity) => learned({ sensitivity }).push(125).score)
  t.strictSame(scores, [...scores].sort((a, b) => a - b))
  t.equal(new Set(scores).size, 4)
})

t.test('an unknown sensitivity is refused', async (t) => {
  t.throws(() => new Envelope({ sensitivity: 'loud' as 'low' }), { name: 'RangeError', message: 'sensitivity must be low, normal, high or max, not loud' })
})

t.test('a slower pace keeps the baseline during a disturbance', async (t) => {
  const [slow, full] = [learned(), learned()]
  for (let i = 0; i < 200; i++) {
    slow.push(1_000, undefined, 0.25)
    full.push(1_000)
  }
  t.ok(slow.look('sample').baseline < 300)
  t.ok(full.look('sample').baseline > 500)
})

t.test('a restored envelope goes on as if nothing had happened, with and without times', async (t) => {
  for (const timeOf of [() => undefined, (i: number) => i * 900_000]) {
    const whole = new Envelope()
    let restored = new Envelope()
    const verdicts: EnvelopeVerdict[][] = [[], []]
    for (let i = 0; i < 2_000; i++) {
      const value = usual(i) + 50 * Math.sin(i * Math.PI / 48) + (i % 700 === 699 ? 500 : 0)
      verdicts[0]!.push(whole.push(value, timeOf(i)))
      verdicts[1]!.push(restored.push(value, timeOf(i)))
      if (i % 100 === 50) {
        const saved = JSON.parse(JSON.stringify(restored.save())) as number[]
        t.equal(saved.length, timeOf(i) === undefined ? 16 : 75)
        restored = new Envelope()
        t.ok(restored.restore(saved))
      }
    }
    t.strictSame(verdicts[1], verdicts[0])
    t.ok(verdicts[0]!.some(({ alert }) => alert))
  }
})

t.test('a state without times replaces one with times', async (t) => {
  const envelope = new Envelope()
  for (let i = 0; i < 100; i++) envelope.push(usual(i), i * HOUR_MS)
  t.equal(envelope.save().length, 75)
  const other = learned()
  t.ok(envelope.restore(other.save()))
  t.strictSame(envelope.save(), other.save())
})

t.test('a saved state of another kind is refused or harmless', async (t) => {
  const envelope = learned()
  const before = envelope.save()
  const withTimes = Array<number>(75).fill(0)
  for (const state of [[], [1], before.slice(1), [NaN, ...before.slice(1)], [-1, ...before.slice(1)], withTimes.with(24, 24), withTimes.with(24, 0.5)]) {
    t.notOk(envelope.restore(state), JSON.stringify(state))
  }
  t.strictSame(envelope.save(), before)
  const states = fc.oneof(fc.array(fc.double(), { minLength: 16, maxLength: 16 }), fc.array(fc.double({ min: 0, max: 23 }).map(Math.round), { minLength: 75, maxLength: 75 }))
  fc.assert(fc.property(states, fc.array(fc.tuple(anyNumber, anyNumber), { maxLength: 50 }), (state, samples) => {
    const restored = new Envelope()
    restored.restore(state)
    return samples.every(([value, atMs]) => Number.isFinite(restored.push(value, atMs).score))
  }), { numRuns: 300 })
})

/** The alerts in busy days and quiet nights of a service, one sample in five minutes, after the first two days. */
function playDays (envelope: Envelope, days: number, isTimed: boolean, change: (day: number, hour: number, level: number) => number): EnvelopeVerdict[] {
  const verdicts: EnvelopeVerdict[] = []
  for (let i = 0; i < days * 288; i++) {
    const [day, hour] = [Math.floor(i / 288), Math.floor(i / 12) % 24]
    const level = 100 + 80 * Math.sin(i * 2 * Math.PI / 288)
    const verdict = envelope.push(change(day, hour, level) + i * 7_919 % 11, isTimed ? i * 300_000 : undefined)
    if (day >= 2) verdicts.push(verdict)
  }
  return verdicts.filter(({ alert }) => alert)
}

t.test('a night as busy as a day is an alert for a signal with times, and no alert without', async (t) => {
  const busyNight = (day: number, hour: number, level: number): number => day === 11 && hour >= 15 && hour < 21 ? 180 : level
  t.strictSame(playDays(new Envelope(), 12, false, busyNight), [])
  const [found, ...others] = playDays(new Envelope(), 12, true, busyNight)
  t.equal(found?.view, 'hour')
  t.ok(found!.observed - found!.baseline > found!.high)
  t.strictSame(others, [])
  t.strictSame(playDays(new Envelope(), 12, true, (_day, _hour, level) => level), [])
})

t.test('times before 1970 count the hours of the day too', async (t) => {
  const envelope = new Envelope()
  envelope.push(1, -1)
  t.equal(envelope.save()[24], 23)
})

t.test('the score of the anomaly benchmark is that of its formula, in cases computed by hand', async (t) => {
  const S = (y: number): number => 2 / (1 + Math.exp(5 * y)) - 1
  const rows = 1_000
  const windows: Array<[number, number]> = [[400, 499]]
  const score = (alerts: number[]): NabScore => scoreNab([{ rows, windows, alerts }])
  const near = (found: number, wanted: number, title: string): unknown => t.ok(Math.abs(found - wanted) < 1e-9, `${title}: ${found}, ${wanted}`)

  t.equal(probationOf(1_000), 150)
  t.equal(probationOf(100_000), 750)
  t.match(score([]), { standard: 0, lowFalsePositives: 0, lowFalseNegatives: 0, falseAlarms: 0 }, 'silence')
  t.match(score([400]), { standard: 100, lowFalsePositives: 100, lowFalseNegatives: 100, falseAlarms: 0, found: 1 }, 'the first row of the window')
  t.match(score([149, 400]), { standard: 100, falseAlarms: 0 }, 'an alert in the probation does not count')
  near(score([450, 400, 470]).standard, 100, 'the best alert of a window counts, once')
  near(score([499]).standard, 100 * (1 + S(-0.01) / S(-1)) / 2, 'the last row of the window')
  near(score([200, 400]).standard, 100 * (2 - 0.11) / 2, 'an alert before the first window costs a full one')
  near(score([200, 400]).lowFalsePositives, 100 * (2 - 0.22) / 2, 'and twice that where false alarms matter')
  near(score([400, 549]).standard, 100 * (2 + 0.11 * S(50 / 99)) / 2, 'an alert soon after the window costs less')
  near(score([400, 900]).standard, 100 * (2 - 0.11) / 2, 'and a full one three lengths later')
  near(score([600]).lowFalseNegatives, 100 * (-2 + 0.11 * S(101 / 99) + 2) / 3, 'a missed window costs two where misses matter')
  near(scoreNab([{ rows, windows, alerts: [400] }, { rows, windows: [[300, 309], [700, 709]], alerts: [700] }]).standard, 100 * (2 - 1 + 3) / 6, 'all windows of all series weigh the same')
})

const isSavedSignals = compile(SavedSignals)

const nabSeries = traceFile('nab-dev.ndjson.gz')

t.test('the detector keeps its score on labelled series, with one set of parameters', onlyWith(nabSeries), async (t) => {
  interface Series { windows: Array<[number, number]>, t: number[], x: number[] }
  const series = gunzipSync(readFileSync(pathOf(nabSeries))).toString().trim().split('\n').map((line) => JSON.parse(line) as Series)
  const score = (sensitivity: 'max' | 'normal', isTimed: boolean): NabScore => scoreNab(series.map(({ windows, t: times, x }) => {
    const envelope = new Envelope({ sensitivity })
    let seconds = 0
    const alerts = x.flatMap((value, row) => envelope.push(value, isTimed ? (seconds += times[row]!) * 1_000 : undefined).alert ? [row] : [])
    return { rows: x.length, windows, alerts }
  }))
  const [max, maxTimed, normal, normalTimed] = [score('max', false), score('max', true), score('normal', false), score('normal', true)]
  t.ok(max.standard >= 69.4 && max.lowFalsePositives >= 64.3, JSON.stringify(max))
  t.ok(maxTimed.standard >= 72.4 && maxTimed.lowFalsePositives >= 67.3, JSON.stringify(maxTimed))
  t.ok(normal.standard >= 57.8 && normal.lowFalsePositives >= 56 && normal.falseAlarms <= 19, JSON.stringify(normal))
  t.ok(normalTimed.standard >= 60.8 && normalTimed.lowFalsePositives >= 59 && normalTimed.falseAlarms <= 19, JSON.stringify(normalTimed))
})

/** A service whose minutes a test plays; every evaluation is a minute after the one before. */
function playService (options: Partial<AdaptiveOptions> = {}) {
  let latencies: OperationLatency[] = []
  const time = { now: 1_700_000_000_000, at: 0 }
  const totals = { active: 0, completed: 0, cancelled: 0, errors: 0, total: 0, avgDurationMs: null, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0 }
  const create = () => new AdaptiveSignals({ options: { ...defaults, ...options }, latencies: () => latencies })
  const service = { signals: create(), minute, create, time }
  interface Minute { active?: number, starts?: number, completed?: number, errors?: number, durationMs?: number, name?: string, operations?: OperationLatency[], lastMs?: number }

  /** Plays one minute and returns the conditions at its end. */
  function minute ({ active = 0, starts = 0, completed = 0, errors = 0, durationMs = 1_000, name = 'import', operations = [], lastMs = 60_000 }: Minute): AlertCondition[] {
    time.now += lastMs
    time.at += lastMs
    latencies = operations
    totals.total += starts
    totals.completed += completed
    totals.errors += errors
    const ended = (status: 'completed' | 'error') => ({ id: 'x', name, status, durationMs, error: null, cancelKind: undefined, at: time.at - 1 })
    const recent = [...Array.from({ length: completed }, () => ended('completed')), ...Array.from({ length: errors }, () => ended('error'))]
    const missions = { totals, load: active, recent, stalled: [], oldest: [], names: new Map(), outliers: [], errorGroups: [], loads: [], sinceEndingMs: undefined, medianGapMs: undefined, gaps: 0 }
    return service.signals.read({ missions }, { ...time })
  }
  return service
}

const defaults: AdaptiveOptions = {
  enabled: true,
  sensitivity: 'normal',
  minDelta: { active: 5, starts: 5, endings: 5, errorRatio: 0.1, latency: 0.5, duration: 0.5 }
}

/** A minute of regular work. */
const usualMinute = (index: number) => ({
  active: 10 + index * 7_919 % 4, starts: 20 + index * 7_919 % 7, completed: 20 + index * 7_907 % 7, durationMs: 900 + index * 7_919 % 200
})

const latencyOf = (p95Ms: number, fields: Partial<OperationLatency> = {}): OperationLatency =>
  ({ component: 'db', operation: 'query', count: 100, p50Ms: p95Ms / 2, p95Ms, p99Ms: p95Ms * 1.5, ...fields })

/** Plays regular minutes, which give no condition. */
function playUsual (t: Test, service: ReturnType<typeof playService>, minutes: number, more: (index: number) => object = () => ({})): void {
  const found = Array.from({ length: minutes }, (_, index) => service.minute({ ...usualMinute(index), ...more(index) })).flat()
  t.strictSame(found, [])
}

t.test('a latency far above its history is reported in its second minute, explains itself, and ends after 20 usual minutes', async (t) => {
  const service = playService()
  const operations = (index: number) => ({ operations: [latencyOf(2_000 + index * 7_919 % 400)] })
  playUsual(t, service, 300, operations)
  const slow = { operations: [latencyOf(7_100)] }
  t.strictSame(service.minute({ ...usualMinute(0), ...slow }), [], 'after one minute')
  const [condition, ...others] = service.minute({ ...usualMinute(1), ...slow })
  t.strictSame(others, [], 'p95 and p99 of one operation are one alert')
  t.match(condition, {
    key: 'adaptive_latency{component="db",operation="query"}',
    rule: 'adaptive_latency',
    category: 'performance',
    severity: 'warning',
    labels: { component: 'db', operation: 'query' },
    metric: 'latency_ms',
    message: /^p95 of db query 7\.1 s; 4\.\d s above its baseline of 2\.\d s, envelope so far (1\.9|2) s to 2\.\d s$/
  })
  t.ok(Math.abs(condition!.value! - 7_100) < 1)
  t.ok(condition!.threshold! > 2_300 && condition!.threshold! < 2_700, `threshold ${condition!.threshold}`)
  for (let i = 0; i < 19; i++) t.equal(service.minute({ ...usualMinute(i), ...operations(i) }).length, 1)
  t.strictSame(service.minute({ ...usualMinute(20), ...operations(20) }), [])
})

t.test('one unusual minute is no alert', async (t) => {
  const service = playService()
  playUsual(t, service, 300)
  t.strictSame(service.minute({ ...usualMinute(0), active: 100 }), [])
  playUsual(t, service, 100)
})

t.test('each signal has its rule, and a sentence with its unit', async (t) => {
  const cases: Array<[rule: string, minute: (index: number) => object, message: RegExp]> = [
    ['adaptive_active', () => ({ active: 60 }), /^active missions 60; 48\.\d above its baseline of 11\.\d, envelope so far 10\.\d to 13\.\d$/],
    ['adaptive_starts', () => ({ starts: 90 }), /^missions started per minute 90; 6\d(\.\d)? above its baseline of 23/],
    ['adaptive_starts', () => ({ starts: 0 }), /^missions started per minute 0; 2\d(\.\d)? below its baseline of 2/],
    ['adaptive_endings', () => ({ completed: 1 }), /^missions ended per minute 1; 2\d(\.\d)? below its baseline of 2/],
    ['adaptive_errors', () => ({ completed: 10, errors: 10 }), /^share of failed missions 50 %; 49\.\d percentage points above its baseline of 0\.\d %/],
    ['adaptive_duration', () => ({ durationMs: 60_000 }), /^median duration of missions import 60 s; 58\.\d s above its baseline of 1\.?\d? s/]
  ]
  for (const [rule, change, message] of cases) {
    const service = playService()
    playUsual(t, service, 300)
    const found = [0, 1, 2].map((index) => service.minute({ ...usualMinute(index), ...change(index) })).at(-1)!
    const condition = found.find((one) => one.rule === rule)
    t.match(condition?.message, message)
    t.strictSame(found.filter((one) => one !== condition), [], rule)
  }
})

t.test('a level that shifts a little is named as a mean', async (t) => {
  const service = playService({ sensitivity: 'max', minDelta: { ...defaults.minDelta, starts: 0 } })
  playUsual(t, service, 1_000)
  let found: AlertCondition[] = []
  for (let i = 0; i < 200 && found.length === 0; i++) found = service.minute({ ...usualMinute(i), starts: 23 + i * 7_919 % 4 })
  t.match(found[0]?.message, /^missions started per minute, mean of 64 minutes, 2\d(\.\d)?; /)
  t.equal(found[0]?.details?.['view'], 'level')
})

t.test('nothing is reported within the first 100 samples', async (t) => {
  const service = playService({ sensitivity: 'max' })
  for (let i = 0; i < 100; i++) t.strictSame(service.minute({ active: i * i, starts: i * i, completed: i, operations: [latencyOf(i * i)] }), [], `minute ${i}`)
})

t.test('a service without traffic gives no samples, so its first work is not unusual', async (t) => {
  const service = playService()
  for (let i = 0; i < 500; i++) t.strictSame(service.minute({}), [])
  for (let i = 0; i < 90; i++) t.strictSame(service.minute({ active: 50, starts: 50, completed: 50 }), [])
})

t.test('several evaluations in one minute are one sample', async (t) => {
  const service = playService()
  for (let i = 0; i < 150; i++) {
    service.minute({ ...usualMinute(i), lastMs: 30_000 })
    service.minute({ ...usualMinute(i), lastMs: 29_999 })
  }
  t.ok(service.signals.save().some(({ envelope: [count] }) => count! > 90 && count! < 101))
})

t.test('after a pause of the evaluation, counters are not compared', async (t) => {
  const service = playService()
  playUsual(t, service, 300)
  t.strictSame(service.minute({ starts: 100_000, completed: 100_000, lastMs: 3_600_000 }), [])
  playUsual(t, service, 50)
})

t.test('percentiles and shares of few values are not taken', async (t) => {
  const service = playService()
  playUsual(t, service, 300, () => ({ completed: 4, operations: [latencyOf(1_000, { count: 9 })] }))
  t.strictSame(service.signals.save().map(({ rule }) => rule).sort(), ['adaptive_active', 'adaptive_duration', 'adaptive_endings', 'adaptive_starts'])
  playUsual(t, service, 1, () => ({ operations: [latencyOf(1_000, { count: 10 })] }))
  t.strictSame(service.signals.save().flatMap(({ labels }) => labels['percentile'] ?? []), ['p95'])
})

t.test('an alert of an operation without traffic ends after an hour', async (t) => {
  const service = playService()
  playUsual(t, service, 300, (index) => ({ operations: [latencyOf(2_000 + index % 5)] }))
  service.minute({ operations: [latencyOf(50_000)] })
  t.equal(service.minute({ operations: [latencyOf(50_000)] }).length, 1)
  for (let i = 0; i < 60; i++) t.equal(service.minute(usualMinute(i)).length, 1)
  t.strictSame(service.minute(usualMinute(0)), [])
})

t.test('an outage is not soon normal: its alert lasts as long as it does', async (t) => {
  const service = playService()
  playUsual(t, service, 600)
  const failing = (i: number) => service.minute({ ...usualMinute(i), completed: 10, errors: 10 })
  failing(0)
  for (let i = 1; i < 400; i++) t.equal(failing(i).filter(({ rule }) => rule === 'adaptive_errors').length, 1, `minute ${i}`)
})

t.test('the number of signals and of reported ones is bounded, and a free place is used again', async (t) => {
  const service = playService()
  const operations = (p95Ms: number, from = 0) => Array.from({ length: 30 }, (_, i) => latencyOf(p95Ms, { operation: `query-${from + i}` }))
  playUsual(t, service, 200, (index) => ({ operations: operations(1_000 + index % 7) }))
  t.equal(service.signals.save().filter(({ rule }) => rule === 'adaptive_latency').length, 40)
  service.minute({ ...usualMinute(0), operations: operations(9_000) })
  t.equal(service.minute({ ...usualMinute(1), operations: operations(9_000) }).length, 5)
  for (let i = 0; i < 61; i++) service.minute(usualMinute(i))
  service.minute({ ...usualMinute(0), operations: [latencyOf(1_000, { operation: 'new' })] })
  t.ok(service.signals.save().some(({ labels }) => labels['operation'] === 'new'))
  for (let i = 0; i < 300; i++) service.minute({ completed: 1, name: `name-${i}`, starts: 1 })
  t.equal(service.signals.save().filter(({ rule }) => rule === 'adaptive_duration').length, 1)
})

t.test('a signal is off with `minDelta: false`, and all are with `enabled: false`', async (t) => {
  const one = playService({ minDelta: { ...defaults.minDelta, active: false } })
  playUsual(t, one, 300)
  for (let i = 0; i < 5; i++) t.strictSame(one.minute({ ...usualMinute(i), active: 1_000 }), [])
  t.notOk('adaptive_active' in one.signals.times)
  const none = playService({ enabled: false })
  playUsual(t, none, 300)
  t.strictSame(none.signals.save(), [])
  t.strictSame(none.signals.times, {})
})

t.test('another process goes on with the saved signals, alerts included', async (t) => {
  const service = playService()
  playUsual(t, service, 300, (index) => ({ operations: [latencyOf(2_000 + index % 5)] }))
  const slow = { ...usualMinute(0), operations: [latencyOf(20_000)] }
  service.minute(slow)
  const [before] = service.minute(slow)
  const saved = JSON.parse(JSON.stringify(service.signals.save())) as SavedSignal[]
  t.ok(isSavedSignals(saved))
  service.signals = service.create()
  service.signals.restore(saved, service.time)
  const [after] = service.minute({ ...slow, lastMs: 1_000 })
  t.equal(after?.key, before!.key)
  t.ok(Math.abs(after!.threshold! / before!.threshold! - 1) < 1e-4)
  const [broken, ...rest] = saved
  service.signals = service.create()
  service.signals.restore([{ ...broken!, envelope: [1, 2, 3] }, ...rest], service.time)
  t.strictSame(service.signals.save()[0]?.envelope[0], 0, 'a state of another kind starts anew')
})

t.test('a service tells its operators of an unusual load, and its resolution', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const rules = { mission_active: { enabled: false }, backlog_growth: { enabled: false } }
  const app = await boot(t, { clock, alerts: { rules } })
  await app.ready()
  const playMinute = (starts: number): void => {
    for (let i = 0; i < 4; i++) {
      for (let n = 0; n < starts / 4; n++) app.missions.start({ name: 'import' }).complete()
      app.monitoring.trackOperation({ component: 'db', operation: 'query', status: 'success', durationMs: 10 })
      clock.advance(15_000)
    }
  }
  for (let minute = 0; minute < 200; minute++) playMinute(20 + 4 * (minute % 3))
  t.strictSame(app.monitoring.alerts(), [])
  for (let minute = 0; minute < 4; minute++) playMinute(200)
  const [alert, ...others] = app.monitoring.alerts()
  t.strictSame(others, [])
  t.match(alert, { rule: 'adaptive_starts', category: 'mission', severity: 'info', state: 'firing', fingerprint: 'adaptive_starts', value: 200 })
  t.match(alert!.message, /^missions started per minute 200; 17\d(\.\d)? above its baseline of 2\d(\.\d)?, envelope so far \d+(\.\d)? to \d+(\.\d)?$/)
  for (let minute = 0; minute < 25; minute++) playMinute(20 + 4 * (minute % 3))
  t.strictSame(app.monitoring.alerts(), [])
})

t.test('with several processes, the learned signals are retained every five minutes for the next one that evaluates', async (t) => {
  const service = playService()
  playUsual(t, service, 300, (index) => ({ operations: [latencyOf(2_000 + index % 5)] }))
  const clock = createVirtualClock(service.time.now)
  const retained = new Map<string, string>()
  const lifecycle = new AlertLifecycle({ times: () => ({ forMs: 0, keepMs: 0 }), repeatMs: 0 })
  const alerts = { lifecycle, evaluate: () => [], time: service.time } as unknown as ScopeAlerts
  const create = (signals: AdaptiveSignals, isEvaluating: boolean) => new ClusterAlerts({
    clock,
    intervalMs: 15_000,
    picture: { retained } as unknown as Picture,
    alerts,
    signals,
    createTenant: () => alerts,
    send: async () => {},
    isEvaluating: () => isEvaluating,
    append (step) {
      const { retain } = step.build(true) as { retain?: { key: string, value: string } }
      if (retain !== undefined) retained.set(retain.key, retain.value)
    },
    onListenerError: (err) => { throw err }
  })
  const one = create(service.signals, true)
  clock.advance(290_000)
  t.notOk(retained.has('alert_signals'))
  clock.advance(15_000)
  t.ok(retained.get('alert_signals')!.length < 60_000)
  one.close()

  const next = service.create()
  const other = create(next, true)
  clock.advance(15_000)
  t.strictSame(next.save(), JSON.parse(retained.get('alert_signals')!))
  other.close()

  retained.set('alert_signals', '[{"rule":1}]')
  const broken = service.create()
  const third = create(broken, true)
  clock.advance(15_000)
  t.strictSame(broken.save(), [])
  third.close()
})
