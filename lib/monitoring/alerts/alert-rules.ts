import type { AnomalySeverity } from '../../../schemas/anomaly.js'
import type { AlertRuleOptions, AlertRulesOptions } from '../../../schemas/options/alerts.js'
import { defineRule, type AlertRule } from './alert-rule.js'
import { fingerprintOf, toCondition, type AlertCondition, type AlertReading } from './condition.js'
import type { AlertFacts } from './facts/alert-facts.js'
import { DURATION_RULES } from './rules/durations.js'
import { MISSION_RULES } from './rules/missions.js'
import { SERVICE_RULES } from './rules/service.js'

const FAILED = 'monitoring.evaluation_failed'
const SUPPRESSED = 'monitoring.alerts_suppressed'

/** The rules about the alerts themselves; whoever evaluates the rules finds their conditions. */
const OWN_RULES: readonly AlertRule[] = [
  defineRule({
    rule: FAILED,
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'The developers, when a rule cannot be evaluated. Its alerts stay as they are until it can.',
    read: () => undefined
  }),
  defineRule({
    rule: SUPPRESSED,
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'The person on call, when so many alerts fire that some are not sent.',
    read: () => undefined
  })
]

/** Every rule, in the order in which they are evaluated. */
export const ALERT_RULES: readonly AlertRule[] = [...MISSION_RULES, ...DURATION_RULES, ...SERVICE_RULES, ...OWN_RULES]

/** A rule to evaluate: one of the table, or one of the host. */
export type EvaluatedRule = Pick<AlertRule, 'category' | 'isAboutMissions'> & {
  readonly rule: string
  readonly options: AlertRuleOptions
  read (facts: AlertFacts): readonly AlertReading[] | undefined
}

export interface Evaluation {
  readonly conditions: readonly AlertCondition[]
  /** Rules without a result: their alerts stay as they are. */
  readonly unknown: ReadonlySet<string>
}

/** The rules of the table that are enabled, with their options. */
export function bindRules (options: AlertRulesOptions): EvaluatedRule[] {
  return ALERT_RULES.filter(({ rule }) => options[rule].enabled).map((row) => ({
    rule: row.rule,
    category: row.category,
    isAboutMissions: row.isAboutMissions,
    options: options[row.rule],
    read: (facts) => row.read(facts, options[row.rule])
  }))
}

export interface EvaluateOptions {
  /** The labels of every alert. */
  labels?: Readonly<Record<string, string>>
  /** The severity of the alert with a fingerprint, if it fires. */
  firing?: (key: string) => AnomalySeverity | undefined
  /** Receives what a rule throws. */
  onError?: (rule: string, err: unknown) => void
}

/** The conditions that are true, in the order of the rules. */
export function evaluateRules (
  rules: readonly EvaluatedRule[], facts: AlertFacts,
  { labels = {}, firing = () => undefined, onError = () => {} }: EvaluateOptions = {}
): Evaluation {
  const found = new Map<string, AlertCondition>()
  const unknown = new Set<string>()
  for (const one of rules) {
    const readings = readGuarded(one, facts, onError)
    if (readings === undefined) unknown.add(one.rule)
    for (const reading of Array.isArray(readings) ? readings : []) {
      const all = { ...labels, ...reading.labels }
      const key = fingerprintOf(one.rule, all)
      const identity = { key, rule: one.rule, category: one.category, labels: all }
      const condition = toCondition(identity, reading, firing(key))
      if (condition !== undefined && !((found.get(key)?.value ?? -Infinity) > (condition.value ?? 0))) {
        found.set(key, condition)
      }
    }
    if (readings === 'failed') {
      unknown.add(one.rule)
      const condition = failureOf(one.rule, labels)
      if (rules.some(({ rule }) => rule === FAILED)) found.set(condition.key, condition)
    }
  }
  unknown.delete(FAILED)
  unknown.delete(SUPPRESSED)
  return { conditions: [...found.values()], unknown }
}

function readGuarded (
  one: EvaluatedRule, facts: AlertFacts, onError: NonNullable<EvaluateOptions['onError']>
): readonly AlertReading[] | 'failed' | undefined {
  try {
    return one.read(facts)
  } catch (err) {
    onError(one.rule, err)
    return 'failed'
  }
}

/** The condition that a rule cannot be evaluated. */
export function failureOf (rule: string, labels: Readonly<Record<string, string>>): AlertCondition {
  const all = { ...labels, of: rule }
  return {
    key: fingerprintOf(FAILED, all),
    rule: FAILED,
    category: 'monitoring',
    labels: all,
    severity: 'warning',
    message: `The rule ${rule} cannot be evaluated; the log says why`,
    metric: null,
    value: null,
    threshold: null,
    details: { rule }
  }
}
