import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import type { Clock } from '../lib/base/clock.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { compile } from '../lib/base/validation.js'
import { ALERT_RULES, bindRules, evaluateRules, type AlertCondition, type AlertFacts } from '../lib/monitoring/index.js'
import { AlertCounts } from '../lib/monitoring/alerts/alert-counts.js'
import { ScopeAlerts } from '../lib/monitoring/alerts/scope-alerts.js'
import { Flapping } from '../lib/monitoring/alerts/lifecycle/flapping.js'
import { AlertLifecycle } from '../lib/monitoring/alerts/lifecycle/lifecycle.js'
import { formatDuration } from '../lib/monitoring/alerts/alert-rule.js'
import type { ActiveFact, DurationFact, EndedFact, MissionFacts } from '../lib/monitoring/alerts/facts/alert-facts.js'
import { groupErrors, normalizeError } from '../lib/monitoring/alerts/facts/error-groups.js'
import { resolveOptions } from '../lib/base/options.js'
import { root } from './support/sources.js'
import { traceFile } from './support/trace-data.js'
import { Anomaly, type HealthComponent, type HealthSnapshot, type MissionTotals, type OptionsInput } from '../schemas/index.js'

const START = Date.UTC(2026, 5, 1)
const MINUTE = 60_000
const isAnomaly = compile(Anomaly)

const optionsOf = (alerts: OptionsInput['alerts'] = {}) => resolveOptions({ alerts }, {}).alerts

const totalsOf = (some: Partial<MissionTotals> = {}): MissionTotals =>
  ({ active: 0, completed: 0, cancelled: 0, errors: 0, total: 0, avgDurationMs: null, stalled: 0, lateOutcomes: 0, refused: 0, untracked: 0, ...some })

const healthOf = (components: Record<string, Partial<HealthComponent>> = {}): HealthSnapshot => ({
  status: 'healthy',
  checkedAt: 0,
  components: Object.fromEntries(Object.entries(components).map(([name, component]) =>
    [name, { status: 'healthy', critical: false, responseTimeMs: 1, error: null, checkedAt: 0, ...component }]))
})

const ended = (status: EndedFact['status'], some: Partial<EndedFact> = {}): EndedFact =>
  ({ id: 'm', name: 'job', status, durationMs: 1, error: status === 'error' ? { code: 'failed', message: 'no' } : null, cancelKind: undefined, at: 0, ...some })

const times = <T>(count: number, create: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => create(at))

const missionsOf = (some: Partial<MissionFacts> = {}): MissionFacts => ({
  totals: totalsOf(),
  load: 0,
  recent: [],
  stalled: [],
  oldest: [],
  names: new Map(),
  outliers: [],
  errorGroups: [],
  loads: [],
  sinceEndingMs: undefined,
  medianGapMs: undefined,
  gaps: 0,
  ...some
})

const factsOf = ({ missions, components, ...some }: Omit<Partial<AlertFacts>, 'missions'> & { missions?: Partial<MissionFacts>, components?: Record<string, Partial<HealthComponent>> } = {}): AlertFacts =>
  ({ now: START, missions: missionsOf(missions), health: healthOf(components), processes: undefined, operations: [], ...some })

const evaluate = (facts: Parameters<typeof factsOf>[0], alerts: OptionsInput['alerts'] = {}): readonly AlertCondition[] =>
  evaluateRules(bindRules(optionsOf(alerts).rules), factsOf(facts)).conditions

const brief = (conditions: readonly AlertCondition[]) => conditions.map(({ rule, severity, value, threshold }) => [rule, severity, value, threshold])

t.test('the rules', async (t) => {
  t.test('find nothing in a healthy service', async (t) => {
    const recent = [...times(7, () => ended('completed')), ...times(3, () => ended('error'))]
    t.strictSame(evaluate({ missions: { load: 10, recent }, components: { db: { responseTimeMs: 1_000 }, host: { responseTimeMs: null } } }), [])
  })

  t.test('warn of more than 10 active missions and call more than 25 critical', async (t) => {
    t.strictSame(brief(evaluate({ missions: { load: 11 } })), [['mission_active', 'warning', 11, 10]])
    t.strictSame(brief(evaluate({ missions: { load: 25 } })), [['mission_active', 'warning', 25, 10]])
    t.strictSame(brief(evaluate({ missions: { load: 26 } })), [['mission_active', 'critical', 26, 25]])
    t.match(evaluate({ missions: { load: 26 } }), [{ key: 'mission_active', category: 'mission', metric: 'active', details: null, message: '26 missions are active, more than 25' }])
  })

  t.test('evaluate the error rate once five missions have ended', async (t) => {
    const rate = (errors: number, others: number) => evaluate({ missions: { recent: [...times(errors, () => ended('error')), ...times(others, () => ended('completed'))] } })
    t.strictSame(rate(4, 0), [])
    t.strictSame(brief(rate(5, 0)), [['mission_error_rate', 'critical', 1, 0.5]])
    t.strictSame(brief(rate(5, 5)), [['mission_error_rate', 'warning', 0.5, 0.3]])
    t.strictSame(brief(rate(3, 7)), [])
    t.match(rate(4, 6), [{ category: 'mission', metric: 'error_rate', message: '4 of 10 ended missions failed, more than 30 %' }])
  })

  t.test('write messages of at most 512 characters', async (t) => {
    const [{ message }] = evaluate({ components: { ['db'.repeat(600)]: { status: 'unhealthy' } } }) as [AlertCondition]
    t.equal(message.length, 512)
    t.ok(message.endsWith('…'))
  })

  t.test('evaluate the error rate over the lifetime of the service, if asked to', async (t) => {
    const totals = totalsOf({ completed: 3, cancelled: 2, errors: 5 })
    const alerts = { rules: { mission_error_rate: { window: 'lifetime' } } } as const
    t.strictSame(brief(evaluate({ missions: { totals } }, alerts)), [['mission_error_rate', 'warning', 0.5, 0.3]])
    t.strictSame(evaluate({ missions: { totals } }), [])
  })

  t.test('find each unhealthy component separately, as critical', async (t) => {
    const found = evaluate({ components: { db: { status: 'unhealthy', error: 'check_timeout' }, cache: { status: 'unhealthy' }, mail: { status: 'degraded' } } })
    t.match(found, [
      { key: 'health_component{component="db"}', rule: 'health_component', category: 'health', severity: 'critical', metric: null, value: null, threshold: null, details: { component: 'db', error: 'check_timeout' } },
      { key: 'health_component{component="cache"}', severity: 'critical' }
    ])
    t.equal(found.length, 2)
  })

  t.test('warn of a component that takes more than a second to respond', async (t) => {
    t.match(evaluate({ components: { db: { responseTimeMs: 1_500 } } }), [{
      key: 'health_response_time{component="db"}',
      category: 'health',
      severity: 'warning',
      metric: 'response_time_ms',
      value: 1_500,
      threshold: 1_000,
      details: { component: 'db' },
      message: 'The component db took 1.5 s to respond, more than 1 s'
    }])
  })
})

const active = (some: Partial<ActiveFact> = {}): ActiveFact =>
  ({ id: 'm', name: 'job', startedAt: START, updatedAt: START, isStalled: false, waiting: null, ...some })

t.test('the rules about missions that do not get done', async (t) => {
  const rulesOf = (missions: Partial<MissionFacts>) => brief(evaluate({ missions }))

  t.test('find missions that were stalled for five more minutes, and do not count them as load', async (t) => {
    const stalled = (ms: number) => active({ id: `s${ms}`, updatedAt: START - ms, isStalled: true })
    t.strictSame(rulesOf({ stalled: [stalled(299_999)] }), [])
    const [found] = evaluate({ missions: { totals: totalsOf({ active: 2, stalled: 2 }), stalled: [stalled(400_000), stalled(300_000)] } })
    t.match(found, { rule: 'missions_stalled', severity: 'warning', value: 2, threshold: 0, missions: [{ id: 's400000' }, { id: 's300000' }], message: '2 missions show no activity, for more than 5 min since they stalled' })
    t.match(evaluate({ missions: { stalled: [stalled(400_000)] } }), [{ message: '1 mission shows no activity, for more than 5 min since they stalled' }])
    t.strictSame(rulesOf({ stalled: times(10, () => stalled(300_000)) }), [['missions_stalled', 'critical', 10, 9]])
    t.match(evaluate({ missions: { load: 11, totals: totalsOf({ active: 12, stalled: 1 }) } }), [{ value: 11, details: { stalled: 1 } }])
  })

  t.test('find the oldest mission of a name that takes three times as long as others', async (t) => {
    const names = new Map([['job', { count: 10, p95Ms: 5 * MINUTE }], ['fast', { count: 10, p95Ms: 1 }], ['new', { count: 9, p95Ms: 1 }]])
    const old = (name: string, ms: number, some: Partial<ActiveFact> = {}) => active({ name, startedAt: START - ms, ...some })
    t.strictSame(rulesOf({ names, oldest: [old('job', 15 * MINUTE), old('fast', 10 * MINUTE), old('new', 999 * MINUTE), old('unknown', 999 * MINUTE)] }), [])
    t.strictSame(rulesOf({ names, oldest: [old('job', 16 * MINUTE, { waiting: 'for approval' })] }), [], 'a mission that waits is not late')
    t.match(evaluate({ missions: { names, oldest: [old('job', 17 * MINUTE), old('job', 16 * MINUTE), old('fast', 11 * MINUTE)] } }), [
      { key: 'oldest_active{name="job"}', value: 17 * MINUTE, threshold: 15 * MINUTE, message: 'A mission job runs for 17 min, more than 15 min; 95 % took up to 5 min' },
      { key: 'oldest_active{name="fast"}', value: 11 * MINUTE, threshold: 10 * MINUTE }
    ])
  })

  t.test('find a duration that is far from the others of its name, and never a short one', async (t) => {
    const outlier = (some: Partial<DurationFact>): DurationFact => ({ id: 'm', name: 'job', durationMs: 6 * MINUTE, p95Ms: MINUTE, score: 4, samples: 30, ...some })
    for (const none of [{ samples: 29 }, { score: 3.5 }, { durationMs: 5 * MINUTE }, { p95Ms: 3 * MINUTE }]) t.strictSame(rulesOf({ outliers: [outlier(none)] }), [])
    t.match(evaluate({ missions: { outliers: [outlier({ id: 'a' }), outlier({ id: 'b', durationMs: 9 * MINUTE }), outlier({ id: 'c', durationMs: 7 * MINUTE })] } }), [
      { key: 'duration_outlier{name="job"}', severity: 'info', value: 9 * MINUTE, missions: [{ id: 'b' }] }
    ])
  })

  t.test('find a backlog that grows in each of three steps', async (t) => {
    t.strictSame(rulesOf({ loads: [0, 1, 2] }), [], 'not long enough')
    t.strictSame(rulesOf({ loads: [0, 9, 9, 11] }), [])
    t.strictSame(rulesOf({ loads: [20, 22, 24, 31] }), [], 'less than half of all')
    t.strictSame(rulesOf({ loads: [] }), [])
    t.match(evaluate({ missions: { loads: [0, 4, 8, 11] } }), [{ rule: 'backlog_growth', value: 11, threshold: 10 }])
    t.match(evaluate({ missions: { loads: [20, 30, 40, 50] } }), [{ rule: 'backlog_growth', value: 30, threshold: 25 }])
  })

  t.test('find that nothing ends any more, only while something could', async (t) => {
    const facts = { load: 1, oldest: [active({ startedAt: START - 30 * MINUTE })], sinceEndingMs: 20 * MINUTE, medianGapMs: MINUTE, gaps: 20 }
    t.strictSame(rulesOf(facts), [['throughput_drop', 'warning', 20 * MINUTE, 10 * MINUTE]])
    t.strictSame(rulesOf({ ...facts, oldest: [] }), [])
    t.strictSame(rulesOf({ ...facts, oldest: [active({ startedAt: START - 9 * MINUTE })] }), [], 'nothing was active before')
    t.strictSame(rulesOf({ ...facts, medianGapMs: 5 * MINUTE }), [])
    t.strictSame(rulesOf({ ...facts, gaps: 19 }), [])
    t.strictSame(rulesOf({ ...facts, names: new Map([['job', { count: 1, p95Ms: 25 * MINUTE }]]) }), [], 'its kind takes long')
    for (const none of [{ sinceEndingMs: undefined }, { medianGapMs: undefined }]) t.strictSame(rulesOf({ ...facts, ...none }), [])
  })

  t.test('find that most missions are cancelled, but not because of something else', async (t) => {
    const cancelled = (cancelKind: EndedFact['cancelKind'], count: number) => times(count, () => ended('cancelled', { cancelKind }))
    t.strictSame(rulesOf({ recent: cancelled('request', 4) }), [])
    t.strictSame(rulesOf({ recent: [...cancelled('parent', 9), ...cancelled('shutdown', 9), ...cancelled('skipped', 9), ...cancelled('superseded', 9)] }), [])
    t.strictSame(rulesOf({ recent: [...cancelled('timeout', 3), ...times(2, () => ended('completed'))] }), [['cancel_storm', 'warning', 0.6, 0.5]])
  })

  t.test('find an error that many missions share, and say which', async (t) => {
    const failed = (message: string, count: number) => times(count, (at) => ended('error', { id: `${message}${at}`, error: { code: 'E', message } }))
    const found = (recent: EndedFact[]) => evaluate({ missions: { recent, errorGroups: groupErrors(recent) } }, { rules: { mission_error_rate: { enabled: false } } })
    t.strictSame(found([...failed('no', 4), ...failed('other', 4)]), [])
    t.strictSame(found([...failed('no', 5), ...times(50, () => ended('completed'))]), [], 'one in ten is not many')
    t.match(found([...failed('no', 5), ...failed('other', 4), ...times(40, () => ended('completed'))]), [
      { key: /^repeated_error\{error="E#[0-9a-f]{8}"\}$/, value: 5, message: '5 missions failed with E: no, at least 5 and 10 % of all within 15 minutes', details: { error: 'E', errorMessage: 'no' } }
    ])
  })

  t.test('find errors that differ only in numbers, ids and quoted texts', async (t) => {
    const messages = ['row 17 of "a.csv" at 0xfe: no', "row 4 of 'b.csv' at 0x01: no", 'row  9 of `c` at 0xabc: no']
    t.strictSame([...new Set(messages.map((message) => normalizeError('E', message)))], ['E: row # of … at #: no'])
    t.equal(normalizeError('E', 'user 3f0c2a1e-aaaa-bbbb-cccc-0123456789ab at 2026-01-05T09:00:15.304Z'), 'E: user # at #T#Z')
    t.ok(normalizeError('E', 'x'.repeat(1_000_000)).length <= 96)
    const groups = groupErrors([...times(9, (at) => ended('error', { error: { code: `E${at}`, message: 'no' } })), ended('error', { error: { code: 'E3', message: 'no' } }), ended('error', { error: null }), ended('completed')])
    t.strictSame(groups.map(({ code, missions }) => [code, missions.length]), [['E3', 2], ['E0', 1], ['E1', 1], ['E2', 1], ['E4', 1]])
  })

  t.test('find a late event loop and slow clients, where the process is known', async (t) => {
    const processes = (eventLoopDelayMs: number, slowConsumers: number) => [{ instance: undefined, facts: { eventLoopDelayMs, slowConsumers } }]
    t.strictSame(brief(evaluate({ processes: processes(201, 11) })), [['event_loop_late', 'warning', 201, 200], ['slow_consumers', 'warning', 11, 10]])
    t.strictSame(brief(evaluate({ processes: processes(1_001, 10) })), [['event_loop_late', 'critical', 1_001, 1_000]])
    const { unknown } = evaluateRules(bindRules(optionsOf().rules), factsOf())
    t.strictSame([...unknown], ['event_loop_late', 'slow_consumers'])
    t.strictSame(evaluate({ processes: processes(201, 11) }).map(({ key }) => key), ['event_loop_late', 'slow_consumers'], 'a single process has no label')
  })

  t.test('name each of several processes; one that has not reported lately keeps its alert, and one that is gone does not', async (t) => {
    const clock = createVirtualClock(START)
    const late = { eventLoopDelayMs: 300, slowConsumers: 0 }
    let processes: AlertFacts['processes'] = [{ instance: 'a', facts: late }, { instance: 'b', facts: late }, { instance: 'c', facts: { eventLoopDelayMs: 0, slowConsumers: 12 } }]
    const alerts = new ScopeAlerts({
      clock, repeatMs: 0, rules: bindRules(optionsOf({ rules: { event_loop_late: { forMs: 0, keepMs: 60_000 }, slow_consumers: { forMs: 0 } } }).rules), facts: () => factsOf({ processes }), onError: () => {}
    })
    const texts = alerts.evaluate().map(({ fingerprint, labels, message }) => [fingerprint, labels, message])
    t.strictSame(texts, [
      ['event_loop_late{instance="a"}', { instance: 'a' }, 'The event loop of a is 300 ms late, more than 200 ms'],
      ['event_loop_late{instance="b"}', { instance: 'b' }, 'The event loop of b is 300 ms late, more than 200 ms'],
      ['slow_consumers{instance="c"}', { instance: 'c' }, '12 clients of c were disconnected within 15 minutes, because they read too slowly, more than 10']
    ])
    processes = [{ instance: 'a', facts: undefined }, { instance: 'c', facts: { eventLoopDelayMs: 0, slowConsumers: 12 } }]
    clock.advance(3_600_000)
    t.strictSame(alerts.evaluate(), [])
    clock.advance(60_000)
    t.match(alerts.evaluate(), [{ fingerprint: 'event_loop_late{instance="b"}', state: 'resolved' }])
    t.strictSame(alerts.lifecycle.firing().map(({ fingerprint }) => fingerprint), ['event_loop_late{instance="a"}', 'slow_consumers{instance="c"}'])
  })
})

t.test('a rule that is disabled is not evaluated', async (t) => {
  t.strictSame(evaluate({ missions: { load: 99 } }, { rules: { mission_active: { enabled: false } } }), [])
  t.strictSame(brief(evaluate({ missions: { load: 3 } }, { rules: { mission_active: { warning: 2 } } })), [['mission_active', 'warning', 3, 2]])
  t.throws(() => optionsOf({ rules: { mission_activ: {} } } as never), { message: /alerts\.rules\.mission_activ is not an option/ })
  t.throws(() => optionsOf({ rules: { mission_active: { warning: -1 } } }), { message: /alerts\.rules\.mission_active\.warning is -1, but must be a number from 0/ })
})

t.test('an alert that fires ends below 80 % of its limit', async (t) => {
  const rules = bindRules(optionsOf().rules)
  const at = (load: number, before?: 'warning' | 'critical') => evaluateRules(rules, factsOf({ missions: { load } }), { firing: () => before }).conditions
  t.strictSame(brief(at(9)), [])
  t.match(at(9, 'warning'), [{ severity: 'warning', value: 9, message: '9 missions are active, after more than 10' }])
  t.strictSame(brief(at(8, 'warning')), [])
  t.strictSame(brief(at(21, 'warning')), [['mission_active', 'warning', 21, 10]], 'a severity that was not reached has its own limit')
  t.strictSame(brief(at(21, 'critical')), [['mission_active', 'critical', 21, 25]])
  t.strictSame(brief(at(20, 'critical')), [['mission_active', 'warning', 20, 10]])
})

t.test('durations are written for people', async (t) => {
  t.strictSame([0.4, 999, 1_500, 90_000, 120_000, 7_200_000].map(formatDuration), ['0 ms', '999 ms', '1.5 s', '90 s', '2 min', '2 h'])
})

/** A lifecycle on a virtual clock that is evaluated every 15 s. */
function createStand (rules: OptionsInput['alerts'] = {}) {
  const clock = createVirtualClock(START)
  const options = optionsOf(rules)
  const transitions: string[] = []
  const lifecycle = new AlertLifecycle({
    times: (rule) => (options.rules as Record<string, { forMs: number, keepMs: number }>)[rule]!,
    repeatMs: options.repeatMs,
    onTransition: (rule, state) => transitions.push(`${rule} ${state}`)
  })
  const time = () => ({ now: clock.now(), at: clock.monotonic() })
  const sent: Anomaly[] = []
  const step = (conditions: readonly AlertCondition[], unknown: string[] = []): Anomaly[] => {
    const messages = lifecycle.evaluate({ conditions, unknown: new Set(unknown) }, time())
    sent.push(...messages)
    clock.advance(15_000)
    return messages
  }
  /** Evaluates the same conditions for a time. */
  const hold = (ms: number, ...conditions: AlertCondition[]): Anomaly[] => times(ms / 15_000, () => step(conditions)).flat()
  return { clock, lifecycle, time, sent, transitions, step, hold }
}

/** The alerts of a healthy service. */
function createScopeOn (clock: Clock) {
  const scope = new ScopeAlerts({ clock, repeatMs: 0, rules: bindRules(optionsOf().rules), facts: () => factsOf(), onError: () => {} })
  return { lifecycle: scope.lifecycle, evaluate: () => scope.evaluate() }
}

const conditionOf = (some: Partial<AlertCondition> = {}): AlertCondition => ({
  key: 'mission_active',
  rule: 'mission_active',
  category: 'mission',
  labels: {},
  severity: 'warning',
  message: '11 missions are active',
  metric: 'active',
  value: 11,
  threshold: 10,
  details: null,
  ...some
})

t.test('of the alerts that fired, the last 500 are remembered', async (t) => {
  const flapping = new Flapping()
  const fire = (key: string) => flapping.fired(key, MINUTE)
  t.strictSame(times(5, () => fire('often')), [false, false, false, false, true])
  for (let at = 0; at < 500; at++) fire(`other ${at}`)
  t.equal(fire('often'), false)
})

t.test('another process goes on with an alert that fires too often', async (t) => {
  const { hold, lifecycle, time } = createStand()
  for (let round = 0; round < 5; round++) {
    hold(2 * MINUTE, conditionOf())
    hold(7 * MINUTE)
  }
  hold(2 * MINUTE, conditionOf())
  const saved = lifecycle.save(time())
  t.match(saved, [{ isFlapping: true }])
  const next = createStand()
  next.lifecycle.restore(saved, next.time())
  t.match(next.lifecycle.firing(), [{ flapping: true, alertId: saved[0]!.alertId }])
})

t.test('an alert', async (t) => {
  t.test('fires once its condition was true for a minute, and is not repeated while it stays true', async (t) => {
    const { hold, step } = createStand()
    t.strictSame(hold(MINUTE, conditionOf()), [])
    const [fired, ...more] = step([conditionOf({ value: 12 })])
    t.ok(isAnomaly(fired))
    t.match(fired, { state: 'firing', severity: 'warning', alertId: /^alert_/, fingerprint: 'mission_active', labels: {}, value: 12, peak: 12, startsAt: new Date(START + MINUTE).toISOString() })
    t.strictSame(more, [])
    t.notOk('key' in fired!)
    t.strictSame(hold(60 * MINUTE, conditionOf({ value: 13 })), [])
  })

  t.test('does not fire if its condition is false in between', async (t) => {
    const { hold, step } = createStand()
    for (let at = 0; at < 10; at++) {
      t.strictSame(hold(45_000, conditionOf()), [])
      t.strictSame(step([]), [])
    }
  })

  t.test('gets worse at once, and milder after the keep time', async (t) => {
    const { hold, step } = createStand()
    hold(MINUTE, conditionOf())
    const [first] = step([conditionOf()])
    const [worse] = step([conditionOf({ severity: 'critical', value: 26 })])
    t.match(worse, { alertId: first!.alertId, state: 'firing', severity: 'critical', value: 26 })
    t.strictSame(hold(5 * MINUTE, conditionOf({ value: 24 })), [])
    t.match(step([conditionOf({ value: 24 })]), [{ alertId: first!.alertId, state: 'firing', severity: 'warning', value: 24, peak: 26 }])
  })

  t.test('is resolved once its condition was false for five minutes, and has a new id the next time', async (t) => {
    const { hold, step, clock } = createStand()
    hold(MINUTE, conditionOf())
    const [first] = step([conditionOf({ value: 19 })])
    t.strictSame(hold(5 * MINUTE), [])
    const endsAt = new Date(clock.now()).toISOString()
    const [resolved, ...more] = step([])
    t.ok(isAnomaly(resolved))
    t.match(resolved, { ...first, state: 'resolved', severity: 'info', message: 'Resolved: 11 missions are active', value: null, peak: 19, endsAt })
    t.strictSame(more, [])
    t.strictSame(hold(10 * MINUTE), [])
    hold(MINUTE, conditionOf())
    const [again] = step([conditionOf()])
    t.equal(again!.fingerprint, first!.fingerprint)
    t.not(again!.alertId, first!.alertId)
  })

  t.test('stays if its condition is true again within the keep time', async (t) => {
    const { hold } = createStand()
    t.equal(hold(2 * MINUTE, conditionOf()).length, 1)
    for (let at = 0; at < 5; at++) {
      t.strictSame(hold(4 * MINUTE), [])
      t.strictSame(hold(MINUTE, conditionOf()), [])
    }
  })

  t.test('of one fingerprint does not affect another', async (t) => {
    const { hold } = createStand()
    const a = conditionOf({ key: 'health_component{component="a"}', rule: 'health_component' })
    const b = conditionOf({ key: 'health_component{component="b"}', rule: 'health_component' })
    const [firstA] = hold(2 * MINUTE, a)
    const [firstB, ...none] = hold(2 * MINUTE, a, b)
    t.strictSame(none, [])
    t.not(firstA!.alertId, firstB!.alertId)
    t.match(hold(6 * MINUTE, b), [{ alertId: firstA!.alertId, state: 'resolved' }])
  })

  t.test('that fires is sent to a new subscriber with its latest value', async (t) => {
    const { hold, lifecycle } = createStand()
    t.strictSame(lifecycle.firing(), [])
    const [first] = hold(2 * MINUTE, conditionOf())
    hold(MINUTE, conditionOf({ value: 19 }))
    const firing = lifecycle.firing()
    t.strictSame(firing, [{ ...first, value: 19, peak: 19, snapshot: true }])
    t.ok(firing.every((anomaly) => isAnomaly(anomaly)))
    hold(6 * MINUTE)
    t.strictSame(lifecycle.firing(), [])
  })

  t.test('keeps its state while its rule cannot be evaluated', async (t) => {
    const { hold, step, lifecycle } = createStand()
    const [fired] = hold(2 * MINUTE, conditionOf())
    for (let at = 0; at < 100; at++) t.strictSame(step([], ['mission_active']), [])
    t.match(lifecycle.firing(), [{ alertId: fired!.alertId }])
    t.match(hold(6 * MINUTE), [{ state: 'resolved' }])
  })
})

t.test('a firing alert', async (t) => {
  t.test('is repeated as a reminder every four hours, unless reminders are disabled', async (t) => {
    const { hold, sent } = createStand()
    hold(9 * 60 * MINUTE, conditionOf())
    t.match(sent, [{ state: 'firing' }, { state: 'firing', reminder: true, alertId: sent[0]!.alertId }, { reminder: true }])
    t.notOk('reminder' in sent[0]!)
    t.equal(sent.length, 3)
    for (const alerts of [{ repeatMs: 0 }, { rules: { mission_active: { repeatMs: 0 } } }]) t.equal(createStand(alerts).hold(9 * 60 * MINUTE, conditionOf()).length, 1)
    t.equal(createStand({ repeatMs: 0, rules: { mission_active: { repeatMs: 60 * MINUTE } } }).hold(4 * 60 * MINUTE, conditionOf()).length, 4)
  })

  t.test('that is silenced is marked and not repeated, until the silence is over', async (t) => {
    const { hold, sent, lifecycle, time, clock } = createStand()
    hold(2 * MINUTE, conditionOf())
    const until = clock.now() + 8 * 60 * MINUTE
    lifecycle.silences.set('mission_active', { until, by: 'ann' }, time().now)
    hold(7 * 60 * MINUTE, conditionOf())
    t.match(sent, [{ state: 'firing' }, { state: 'firing', silencedUntil: new Date(until).toISOString() }])
    t.equal(sent.length, 2)
    t.match(lifecycle.firing(), [{ silencedUntil: new Date(until).toISOString() }])
    hold(60 * MINUTE, conditionOf())
    t.equal(sent.length, 2)
    hold(MINUTE, conditionOf())
    t.equal(sent.length, 3)
    t.notOk('silencedUntil' in sent[2]!)
    lifecycle.silences.set('mission_active', { until: clock.now() + MINUTE, by: 'ann' }, time().now)
    lifecycle.silences.set('mission_active', { until: 0, by: 'bob' }, time().now)
    t.strictSame(hold(2 * MINUTE, conditionOf()), [])
    t.match(hold(6 * MINUTE), [{ state: 'resolved' }])
  })

  t.test('keeps at most 200 silences', async (t) => {
    const { lifecycle } = createStand()
    for (let at = 0; at < 201; at++) lifecycle.silences.set(`rule${at}`, { until: 9, by: 'ann' }, 0)
    t.equal(lifecycle.silences.read().length, 200)
    t.equal(lifecycle.silences.until('rule0', 0), undefined)
    t.equal(lifecycle.silences.until('rule200', 0), 9)
  })

  t.test('that fires more than four times within an hour is flapping, and is kept twice as long', async (t) => {
    const { hold, step, lifecycle } = createStand()
    const wave = () => [...hold(2 * MINUTE, conditionOf()), ...hold(6 * MINUTE)]
    for (let at = 0; at < 4; at++) t.strictSame(wave().map(({ state, flapping }) => [state, flapping]), [['firing', undefined], ['resolved', undefined]])
    const [fifth, ...none] = wave()
    t.match(fifth, { state: 'firing', flapping: true })
    t.strictSame(none, [])
    t.match(hold(5 * MINUTE), [{ state: 'resolved', flapping: true }])
    t.ok(step([]).every((anomaly) => isAnomaly(anomaly)))
    hold(120 * MINUTE)
    t.notOk('flapping' in wave()[0]!, 'an hour later it is as before')
    t.equal(lifecycle.history(200).length, 6)
  })

  t.test('names each of its missions once, several together', async (t) => {
    const { hold } = createStand()
    const stalled = (...ids: string[]) => conditionOf({ key: 'missions_stalled', rule: 'missions_stalled', message: `${ids.length} missions`, namesEach: true, missions: ids.map((id, at) => ({ id, since: at })) })
    t.match(hold(2 * MINUTE, stalled('a', 'b')), [{ missionIds: ['a', 'b'], message: '2 missions: a, b' }])
    t.strictSame(hold(60 * MINUTE, stalled('a', 'b')), [])
    t.strictSame(hold(MINUTE, stalled('a', 'b', 'c')), [])
    const [news, ...more] = hold(4 * MINUTE, stalled('a', 'b', 'c', 'd'))
    t.match(news, { missionIds: ['c', 'd'], message: '4 missions: c, d' })
    t.strictSame(more, [])
    const many = times(30, (at) => `m${at}`)
    const [first, ...rest] = hold(30 * MINUTE, stalled('a', 'b', 'c', 'd', ...many))
    t.match(first, { missionIds: many.slice(0, 10), message: /m9 and 20 more$/ })
    t.strictSame(rest, [])
  })

  t.test('forgets the names of missions that no longer count', async (t) => {
    const { hold } = createStand()
    const stalled = (...ids: string[]) => conditionOf({ key: 'missions_stalled', rule: 'missions_stalled', namesEach: true, missions: ids.map((id) => ({ id, since: Number(id.slice(1)) })) })
    t.match(hold(2 * MINUTE, stalled('m1')), [{ missionIds: ['m1'] }])
    t.match(hold(10 * MINUTE, stalled('m2')), [{ missionIds: ['m2'] }])
    t.match(hold(10 * MINUTE, stalled('m2', 'm3')), [{ missionIds: ['m3'] }])
    t.strictSame(hold(10 * MINUTE, stalled('m2', 'm3')), [])
  })

  t.test('is one of at most 50, and a summary says that there are more', async (t) => {
    const { hold, lifecycle, step, transitions } = createStand()
    const many = times(600, (at) => conditionOf({ key: `repeated_error{error="${at}"}`, rule: 'repeated_error' }))
    const sent = hold(10 * MINUTE, ...many)
    t.equal(lifecycle.firing().length, 50)
    const summary = sent.filter(({ rule }) => rule === 'monitoring.alerts_suppressed')
    t.match(summary, [{ state: 'firing', severity: 'warning', fingerprint: 'monitoring.alerts_suppressed' }])
    t.ok(sent.every((anomaly) => isAnomaly(anomaly)))
    const ends = hold(20 * MINUTE)
    t.equal(ends.filter(({ state }) => state === 'resolved').length, 50)
    t.strictSame(lifecycle.firing(), [])
    t.strictSame(step([]), [])
    t.strictSame(transitions.filter((one) => one.startsWith('monitoring')), ['monitoring.alerts_suppressed firing', 'monitoring.alerts_suppressed resolved'])
  })

  t.test('is summarized once a minute: an end is told later, and a second summary in that minute never', async (t) => {
    const { step, hold, transitions } = createStand({ rules: { repeated_error: { forMs: 0, keepMs: 0 }, 'monitoring.alerts_suppressed': { keepMs: 0 } } })
    const conditions = (count: number) => times(count, (at) => conditionOf({ key: `repeated_error{error="${at}"}`, rule: 'repeated_error' }))
    const summaries = (messages: Anomaly[]) => messages.flatMap(({ rule, state }) => rule === 'monitoring.alerts_suppressed' ? [state] : [])
    const sent = [step(conditions(15)), step(conditions(30)), step(conditions(15)), step(conditions(30))]
    t.strictSame(sent.map(summaries), [[], ['firing'], [], []])
    t.strictSame(summaries(hold(5 * MINUTE, ...conditions(15))), ['resolved'])
    t.equal(transitions.filter((one) => one === 'monitoring.alerts_suppressed firing').length, 2)
  })

  t.test('sends at most 20 messages a minute, and what is outdated is never sent', async (t) => {
    const { hold, sent, lifecycle } = createStand()
    const many = times(40, (at) => conditionOf({ key: `repeated_error{error="${at}"}`, rule: 'repeated_error' }))
    hold(MINUTE, ...many)
    hold(MINUTE, ...many)
    t.equal(sent.length, 20, '19 and the summary')
    hold(2 * MINUTE, ...many)
    t.equal(sent.length, 41)
    hold(5 * MINUTE)
    const before = sent.length
    hold(MINUTE)
    t.ok(sent.length - before <= 20)
    hold(10 * MINUTE)
    t.equal(sent.filter(({ state }) => state === 'resolved').length, 41)
    t.equal(new Set(sent.map(({ alertId }) => alertId)).size, 41)
    const brief = createStand({ rules: { repeated_error: { keepMs: 0 } } })
    brief.hold(75_000, ...many)
    brief.hold(MINUTE)
    t.equal(brief.sent.filter(({ state }) => state === 'firing').length, 20, 'the others had ended before they could be sent')
    t.equal(lifecycle.history(200).length, 41)
  })

  t.test('goes on in another process with its id, its peak and its keep time', async (t) => {
    const one = createStand()
    const [fired] = one.hold(2 * MINUTE, conditionOf({ value: 30 }))
    one.hold(4 * MINUTE)
    const two = createStand()
    two.clock.advance(6 * MINUTE)
    two.lifecycle.restore(JSON.parse(JSON.stringify(one.lifecycle.save(one.time()))), two.time())
    two.lifecycle.restoreHistory(one.lifecycle.saveHistory())
    t.match(two.lifecycle.firing(), [{ alertId: fired!.alertId, peak: 30, startsAt: fired!.startsAt }])
    t.strictSame(two.hold(MINUTE), [])
    t.match(two.step([]), [{ alertId: fired!.alertId, state: 'resolved' }])
  })

  t.test('of a rule that this version does not know is resolved after the default keep time', async (t) => {
    const one = createStand()
    one.hold(2 * MINUTE, conditionOf())
    const [saved] = one.lifecycle.save(one.time())
    const clock = createVirtualClock(START)
    const { lifecycle, ...scope } = createScopeOn(clock)
    lifecycle.restore([{ ...saved!, condition: { ...saved!.condition, key: 'later_version', rule: 'later_version' } }], { now: clock.now(), at: clock.monotonic() })
    const rules = () => lifecycle.firing().map(({ rule }) => rule)
    const evaluateFor = (ms: number) => {
      for (let at = 0; at < ms; at += 15_000) {
        scope.evaluate()
        clock.advance(15_000)
      }
    }
    evaluateFor(4 * MINUTE)
    t.strictSame(rules(), ['later_version'])
    evaluateFor(2 * MINUTE)
    t.strictSame(rules(), [])
  })

  t.test('that was summarized or has named missions goes on in another process too', async (t) => {
    const one = createStand()
    const stalled = conditionOf({ key: 'missions_stalled', rule: 'missions_stalled', namesEach: true, missions: [{ id: 'a', since: 7 }] })
    const many = times(60, (at) => conditionOf({ key: `repeated_error{error="${at}"}`, rule: 'repeated_error' }))
    one.hold(5 * MINUTE, stalled, ...many)
    const two = createStand()
    two.clock.advance(5 * MINUTE)
    two.lifecycle.restore(one.lifecycle.save(one.time()), two.time())
    t.equal(two.lifecycle.firing().filter(({ rule }) => rule === 'monitoring.alerts_suppressed').length, 1)
    t.strictSame(two.hold(30 * MINUTE, stalled, ...many), [], 'the mission was named before')
  })
})

t.test('the history has the last 200 alerts, newest first, those that fire included', async (t) => {
  const { hold, lifecycle } = createStand({ rules: { repeated_error: { forMs: 0, keepMs: 0 } } })
  for (let at = 0; at < 210; at++) {
    hold(60_000, conditionOf({ key: `repeated_error{error="${at}"}`, rule: 'repeated_error', value: at }))
    hold(15_000)
  }
  hold(15_000, conditionOf({ key: 'repeated_error{error="last"}', rule: 'repeated_error', value: 7 }))
  const all = lifecycle.history(500)
  t.equal(all.length, 200)
  t.match(all.slice(0, 2), [{ state: 'firing', peak: 7, fingerprint: 'repeated_error{error="last"}' }, { state: 'resolved', peak: 209 }])
  t.match(lifecycle.history(2), [{ peak: 7 }, { peak: 209, startsAt: /T/, endsAt: /T/ }])
})

t.test('whatever the conditions do, an alert follows a simple model', async () => {
  const FOR = 4
  const KEEP = 20
  fc.assert(fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.constantFrom(undefined, 'warning', 'critical')), { minLength: 1, maxLength: 40 }), (phases) => {
    const { step, sent, lifecycle } = createStand({ repeatMs: 0 })
    const expected: string[] = []
    const steps = phases.flatMap(([count, severity]) => times(count, () => severity as 'warning' | 'critical' | undefined))
    // The model counts steps, and knows neither entries nor messages.
    let trueFor = 0
    let falseFor = 0
    let milderFor = 0
    let firings = 0
    let current: 'warning' | 'critical' | undefined
    for (const severity of steps) {
      step(severity === undefined ? [] : [conditionOf({ severity })])
      trueFor = severity === undefined ? 0 : trueFor + 1
      falseFor = severity === undefined ? falseFor + 1 : 0
      milderFor = current === 'critical' && severity === 'warning' ? milderFor + 1 : severity === undefined ? milderFor && milderFor + 1 : 0
      const keep = firings > 4 ? 2 * KEEP : KEEP
      if (current === undefined && trueFor > FOR) {
        expected.push(`firing ${severity}`)
        current = severity
        firings++
      } else if (current !== undefined && falseFor > keep) {
        expected.push('resolved info')
        current = undefined
        milderFor = 0
        trueFor = 0
      } else if (current === 'warning' && severity === 'critical') expected.push(`firing ${(current = severity)}`)
      else if (current === 'critical' && severity === 'warning' && milderFor > keep) {
        expected.push(`firing ${(current = severity)}`)
        milderFor = 0
      }
    }
    const told = sent.map(({ state, severity }) => `${state} ${severity}`)
    if (firings <= 4 && JSON.stringify(told) !== JSON.stringify(expected)) throw new Error(`${told.join(', ')} instead of ${expected.join(', ')}`)
    if (lifecycle.firing().length !== (current === undefined ? 0 : 1) && firings <= 4) throw new Error('fires')
  }), { numRuns: 300 })
})

t.test('every rule has an option, and every option a rule', async (t) => {
  t.strictSame(ALERT_RULES.map(({ rule }) => rule).sort(), Object.keys(optionsOf().rules).sort())
})

t.test('while the facts cannot be read, the alerts stay as they are, and an alert says so', async (t) => {
  const clock = createVirtualClock(START)
  const errors: unknown[] = []
  let facts = (): AlertFacts => factsOf({ missions: { load: 11 } })
  let found = (): AlertCondition[] => [conditionOf({ key: 'unusual', rule: 'unusual' })]
  const createScope = (options: OptionsInput['alerts'] = {}) => new ScopeAlerts({
    clock,
    repeatMs: 0,
    rules: bindRules(optionsOf(options).rules),
    sources: [{ name: 'adaptive', times: { unusual: { forMs: 0, keepMs: 0 } }, read: () => found() }],
    facts: () => facts(),
    onError: (rule, err) => errors.push([rule, (err as Error).message])
  })
  const [scope, silent] = [createScope(), createScope({ rules: { 'monitoring.evaluation_failed': { enabled: false } } })]
  const rulesAfter = (ms: number): string[] => {
    for (let at = 0; at < ms; at += 15_000) {
      scope.evaluate()
      silent.evaluate()
      clock.advance(15_000)
    }
    return scope.lifecycle.firing().map(({ rule, labels }) => labels!['of'] ?? rule)
  }
  t.strictSame(rulesAfter(2 * MINUTE), ['mission_active', 'unusual'])
  found = () => { throw new Error('no source') }
  t.strictSame(rulesAfter(10 * MINUTE), ['mission_active', 'unusual', 'adaptive'])
  facts = () => { throw new Error('no facts') }
  t.strictSame(rulesAfter(10 * MINUTE), ['mission_active', 'unusual', 'adaptive', 'facts'])
  t.strictSame(silent.lifecycle.firing().map(({ rule }) => rule), ['mission_active', 'unusual'])
  t.strictSame(errors.slice(0, 1), [['adaptive', 'no source']])
  t.strictSame(errors.at(-1), ['facts', 'no facts'])
  facts = factsOf
  found = () => []
  t.strictSame(rulesAfter(10 * MINUTE), [])
})

t.test('alerts are counted by rule, and every number is there from the start', async (t) => {
  const counts = new AlertCounts()
  counts.add('queue_depth')
  for (let at = 0; at < 500; at++) counts.add(`rule ${at}`)
  counts.changed('queue_depth', 'firing')
  counts.changed('mission_active', 'firing')
  counts.changed('mission_active', 'resolved')
  counts.changed('rule 499', 'firing')
  const { firing, transitions } = counts.read([{ rule: 'queue_depth', severity: 'warning' }])
  t.equal(firing.length, 600)
  t.equal(transitions.length, 400)
  t.strictSame(firing.filter(({ count }) => count > 0), [{ rule: 'queue_depth', severity: 'warning', count: 1 }])
  t.strictSame(transitions.filter(({ count }) => count > 0), [
    { rule: 'mission_active', state: 'firing', count: 1 }, { rule: 'mission_active', state: 'resolved', count: 1 }, { rule: 'queue_depth', state: 'firing', count: 1 }
  ])
})

interface Fired { rule: string, severity: string, startsAt: string, endsAt: string | null, message: string }
interface Replayed { alerts: Fired[], byRule: Record<string, number>, days: number, stuck: string[], named: Record<string, number>, errors: object }

const replay = async (name: string, path: string): Promise<Replayed> => {
  const module = await import(pathToFileURL(join(root, 'bench/alerts/replay.mjs')).href) as { replay (options: object): Promise<Record<string, Replayed>> }
  return (await module.replay({ folder: dirname(path), only: name }))[name]!
}

/**
 * The bursts of errors in the requests: times in which more than 30 % of at least 5 requests that ended within 15 minutes failed, for
 * 60 s. Times that are less than 5 minutes apart are one burst. The state changes only when a request ends or leaves the window.
 */
function burstsOf (path: string): Array<{ from: number, to: number }> {
  const rows = readFileSync(path, 'utf8').trim().split('\n').slice(1).map((line) => line.split(','))
  const endings = rows.filter(([, , status]) => status === 'SUCCEED' || status === 'FAILED')
    .map(([created, , status, seconds]) => ({ at: Date.parse(`${created!.replace(' ', 'T')}Z`) + Number(seconds) * 1_000, isFailed: status === 'FAILED' }))
    .sort((a, b) => a.at - b.at)
  const moments = [...new Set(endings.flatMap(({ at }) => [at, at + 15 * MINUTE]))].sort((a, b) => a - b)
  const spans: Array<{ from: number, to: number }> = []
  let [first, next, failed] = [0, 0, 0]
  for (const [index, moment] of moments.entries()) {
    for (; next < endings.length && endings[next]!.at <= moment; next++) failed += Number(endings[next]!.isFailed)
    for (; first < next && endings[first]!.at + 15 * MINUTE <= moment; first++) failed -= Number(endings[first]!.isFailed)
    const isBad = next - first >= 5 && failed / (next - first) > 0.3
    const last = spans.at(-1)
    if (isBad && last?.to === moment) last.to = moments[index + 1]!
    else if (isBad) spans.push({ from: moment, to: moments[index + 1]! })
  }
  const bursts: Array<{ from: number, to: number }> = []
  for (const span of spans) {
    const last = bursts.at(-1)
    if (last !== undefined && span.from - last.to <= 5 * MINUTE) last.to = span.to
    else if (span.to - span.from >= MINUTE) bursts.push({ ...span })
  }
  return bursts
}

const requests = traceFile('genai-requests.csv')
const jobs = traceFile('ci-jobs.json')
const agent = traceFile('coding-agent-run.json')
const onlyWith = (file: typeof requests) => 'skip' in file ? { skip: file.skip } : {}
const pathOf = (file: typeof requests): string => (file as { path: string }).path

t.test('over 23 days of real requests, alerts find each burst of errors and each stuck request, and are few', onlyWith(requests), async (t) => {
  const { alerts, byRule, days, stuck, named, errors } = await replay('genai-requests.csv', pathOf(requests))
  t.comment(`${alerts.length} alerts in ${days.toFixed(1)} days: ${JSON.stringify(byRule)}`)
  t.ok(alerts.length <= 2 * days, `${alerts.length} alerts`)
  t.ok((byRule['mission_active'] ?? 0) <= 4)
  t.equal(stuck.length, 33)
  t.strictSame(named, Object.fromEntries(stuck.map((id) => [id, 1])), 'each stuck request is named once, and no other')
  const bursts = burstsOf(pathOf(requests))
  t.equal(bursts.length, 11)
  const found = alerts.filter(({ rule }) => rule === 'mission_error_rate').map(({ startsAt, endsAt }) => ({ from: Date.parse(startsAt), to: Date.parse(endsAt!) }))
  const overlaps = (one: { from: number, to: number }, other: { from: number, to: number }) => one.from <= other.to && other.from <= one.to
  for (const burst of bursts) t.ok(found.some((alert) => overlaps(alert, burst) && alert.from - burst.from <= 90_000), `the burst at ${new Date(burst.from).toISOString()}`)
  for (const alert of found) t.ok(bursts.some((burst) => overlaps(alert, burst)), `the alert at ${new Date(alert.from).toISOString()}`)
  t.strictSame(Object.entries(errors).filter(([, count]) => count !== 0), [])
})

for (const [name, file] of [['ci-jobs.json', jobs], ['coding-agent-run.json', agent]] as const) {
  t.test(`over ${name}, no alert fires that a person would call wrong`, onlyWith(file), async (t) => {
    const { alerts, errors } = await replay(name, pathOf(file))
    for (const { rule, startsAt, message } of alerts) t.comment(`${startsAt} ${rule}: ${message}`)
    t.strictSame(alerts, [])
    t.strictSame(Object.entries(errors).filter(([, count]) => count !== 0), [])
  })
}
