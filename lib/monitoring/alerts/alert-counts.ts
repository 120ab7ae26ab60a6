import type { Anomaly, AnomalySeverity } from '../../../schemas/anomaly.js'
import { ALERT_RULES } from './alert-rules.js'

/** The alerts by rule, for metrics. Every combination is present from the start. */
export interface AlertTotals {
  readonly firing: ReadonlyArray<{ readonly rule: string, readonly severity: AnomalySeverity, readonly count: number }>
  readonly transitions: ReadonlyArray<{
    readonly rule: string, readonly state: Anomaly['state'], readonly count: number
  }>
}

const SEVERITIES = ['info', 'warning', 'critical'] as const
const STATES = ['firing', 'resolved'] as const
/** How many rules are counted by name, built-in and host rules together. */
const MAX_RULES = 200

/** Counts how often the alerts of each rule began and ended. */
export class AlertCounts {
  readonly #transitions = new Map<string, Record<Anomaly['state'], number>>(
    ALERT_RULES.map(({ rule }) => [rule, { firing: 0, resolved: 0 }]))

  /** Rules that are not in the table; counted from now on. */
  add (rule: string): void {
    if (this.#transitions.size < MAX_RULES) this.#transitions.set(rule, { firing: 0, resolved: 0 })
  }

  changed (rule: string, state: Anomaly['state']): void {
    const counts = this.#transitions.get(rule)
    if (counts !== undefined) counts[state]++
  }

  read (firing: ReadonlyArray<{ rule: string, severity: AnomalySeverity }>): AlertTotals {
    const rules = [...this.#transitions.keys()]
    return {
      firing: rules.flatMap((rule) => SEVERITIES.map((severity) => ({
        rule, severity, count: firing.filter((one) => one.rule === rule && one.severity === severity).length
      }))),
      transitions: rules.flatMap((rule) => STATES.map((state) => ({
        rule, state, count: this.#transitions.get(rule)![state]
      })))
    }
  }
}
