import type { AlertRuleOptions, AlertRulesOptions } from '../../../schemas/options/alerts.js'
import { defineRule, type AlertRule } from './alert-rule.js'
import type { AlertReading } from './condition.js'
import type { AlertFacts } from './facts/alert-facts.js'
import { DURATION_RULES } from './rules/durations.js'
import { MISSION_RULES } from './rules/missions.js'
import { SERVICE_RULES } from './rules/service.js'

/** The rules about the alerts themselves; the evaluation itself supplies their conditions. */
const OWN_RULES: readonly AlertRule[] = [
  defineRule({
    rule: 'monitoring.evaluation_failed',
    category: 'monitoring',
    isAboutMissions: false,
    wakes: 'The developers, when a rule cannot be evaluated. Its alerts stay as they are until it can.',
    read: () => []
  }),
  defineRule({
    rule: 'monitoring.alerts_suppressed',
    category: 'monitoring',
    isAboutMissions: true,
    wakes: 'The person on call, when so many alerts fire that some are not sent.',
    read: () => []
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
