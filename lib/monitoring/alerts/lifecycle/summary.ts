import { fingerprintOf, type AlertCondition } from '../condition.js'

export const SUMMARY_RULE = 'monitoring.alerts_suppressed'

/** The condition that alerts or messages are not sent, because there are too many. */
export function summaryOf (count: number, labels: Readonly<Record<string, string>> = {}): AlertCondition {
  return {
    key: fingerprintOf(SUMMARY_RULE, labels),
    rule: SUMMARY_RULE,
    category: 'monitoring',
    labels,
    severity: 'warning',
    message: `Too many alerts fire: alerts or changes that are not sent: ${count}`,
    metric: 'suppressed',
    value: count,
    threshold: 0,
    details: null
  }
}
