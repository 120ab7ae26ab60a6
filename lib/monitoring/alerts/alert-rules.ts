import type { Anomaly } from '../../../schemas/anomaly.js'
import type { HealthComponent, HealthSnapshot } from '../../../schemas/health.js'
import type { MissionTotals } from '../../../schemas/mission.js'

/** What the rules evaluate: totals and health at the same time. */
export interface AlertFacts { totals: MissionTotals, health: HealthSnapshot }

type AnomalyFields = 'category' | 'rule' | 'message' | 'metric' | 'value' | 'threshold' | 'details'

/** A condition that is true now. `key` identifies it across evaluations: there is at most one alert per key. */
export interface AlertCondition extends Pick<Anomaly, AnomalyFields> {
  key: string
  severity: 'warning' | 'critical'
}

/** A condition as its rule finds it. `subject` is the component, for a rule that checks each of them. */
type FoundCondition = Omit<AlertCondition, 'rule' | 'category' | 'key'> & { subject?: string }

interface AlertRule {
  rule: string
  category: Anomaly['category']
  find (facts: AlertFacts): FoundCondition[]
}

const ACTIVE_LIMITS = { warning: 10, critical: 25 }
const ERROR_RATE_LIMITS = { warning: 0.3, critical: 0.5 }
const ERROR_RATE_LEAST_ENDED = 5
const RESPONSE_TIME_LIMIT_MS = 1_000

/** Every rule. To add a rule, add an entry. */
const RULES: readonly AlertRule[] = [
  {
    rule: 'mission_active',
    category: 'mission',
    find: ({ totals: { active } }) => exceeding('active', active, ACTIVE_LIMITS,
      (limit) => `${active} missions are active, more than ${limit}`)
  },
  {
    rule: 'mission_error_rate',
    category: 'mission',
    find ({ totals: { completed, cancelled, errors } }) {
      const ended = completed + cancelled + errors
      if (ended < ERROR_RATE_LEAST_ENDED) return []
      return exceeding('error_rate', errors / ended, ERROR_RATE_LIMITS,
        (limit) => `${errors} of ${ended} ended missions failed, more than ${limit * 100} %`)
    }
  },
  {
    rule: 'health_component',
    category: 'health',
    find: ({ health }) => unhealthyComponents(health).map(([name, { error }]) => ({
      subject: name,
      severity: 'critical',
      message: `The component ${name} is unhealthy`,
      metric: null,
      value: null,
      threshold: null,
      details: { component: name, error }
    }))
  },
  {
    rule: 'health_response_time',
    category: 'health',
    find: ({ health }) => components(health).flatMap(([name, { responseTimeMs }]) =>
      exceeding('response_time_ms', responseTimeMs ?? 0, { warning: RESPONSE_TIME_LIMIT_MS, critical: Infinity },
        (limit) => `The component ${name} took more than ${limit} ms to respond`)
        .map((condition) => ({ ...condition, subject: name, details: { component: name } })))
  }
]

/** All conditions that are true, in the order of the rules. */
export function evaluateRules (facts: AlertFacts): AlertCondition[] {
  return RULES.flatMap(({ rule, category, find }) => find(facts).map(({ subject, ...condition }) =>
    ({ key: subject === undefined ? rule : `${rule}:${subject}`, rule, category, ...condition })))
}

type Limits = Readonly<Record<'warning' | 'critical', number>>

function exceeding (
  metric: string, value: number, limits: Limits, describe: (limit: number) => string
): FoundCondition[] {
  const severity = value > limits.critical ? 'critical' : 'warning'
  const threshold = limits[severity]
  return value > threshold ? [{ severity, message: describe(threshold), metric, value, threshold, details: null }] : []
}

function components (health: HealthSnapshot): [string, HealthComponent][] {
  return Object.entries(health.components)
}

function unhealthyComponents (health: HealthSnapshot): [string, HealthComponent][] {
  return components(health).filter(([, { status }]) => status === 'unhealthy')
}
