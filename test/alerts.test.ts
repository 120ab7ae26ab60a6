import fc from 'fast-check'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { compile } from '../lib/base/validation.js'
import { ALERT_RULES, bindRules, evaluateRules, type AlertCondition, type AlertFacts } from '../lib/monitoring/index.js'
import { AlertLifecycle } from '../lib/monitoring/alerts/lifecycle/lifecycle.js'
import type { EndedFact, MissionFacts } from '../lib/monitoring/alerts/facts/alert-facts.js'
import { resolveOptions } from '../lib/base/options.js'
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
  ({ now: START, missions: missionsOf(missions), health: healthOf(components), process: undefined, ...some })

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

/** A lifecycle on a virtual clock that is evaluated every 15 s. */
function createStand (rules: OptionsInput['alerts'] = {}) {
  const clock = createVirtualClock(START)
  const options = optionsOf(rules)
  const lifecycle = new AlertLifecycle({
    times: (rule) => (options.rules as Record<string, { forMs: number, keepMs: number }>)[rule]!, repeatMs: options.repeatMs
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
  return { clock, lifecycle, time, sent, step, hold }
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
