import type { Anomaly } from '../../../schemas/anomaly.js'
import { createUnifiedId } from '../../base/clock.js'
import type { AlertCondition } from './alert-rules.js'

interface Alert { alertId: string, condition: AlertCondition }

/**
 * The alerts that are firing. It tells of changes only: an alert fires once, again under the same `alertId` when its
 * severity changes, and is resolved once; however long a condition is true, nothing is repeated.
 */
export class Alerts {
  readonly #alerts = new Map<string, Alert>()

  /** Takes all conditions that are true now and answers what has changed since the last call. */
  evaluate (conditions: readonly AlertCondition[]): Anomaly[] {
    const current = new Map(conditions.map((condition) => [condition.key, condition]))
    const resolved = [...this.#alerts.keys()].filter((key) => !current.has(key)).map((key) => this.#resolve(key))
    const fired = [...current.values()].filter((condition) => this.#isNews(condition)).map((condition) => this.#fire(condition))
    for (const [key, condition] of current) this.#alerts.get(key)!.condition = condition
    return [...resolved, ...fired]
  }

  /** All alerts that fire now, with the latest values, for someone who has heard of none. */
  firing (): Anomaly[] {
    return [...this.#alerts.values()].map((alert) => ({ ...firingAnomaly(alert), snapshot: true }))
  }

  #isNews ({ key, severity }: AlertCondition): boolean {
    return this.#alerts.get(key)?.condition.severity !== severity
  }

  #fire (condition: AlertCondition): Anomaly {
    const alertId = this.#alerts.get(condition.key)?.alertId ?? createUnifiedId('alert')
    const alert = { alertId, condition }
    this.#alerts.set(condition.key, alert)
    return firingAnomaly(alert)
  }

  #resolve (key: string): Anomaly {
    const alert = this.#alerts.get(key)!
    this.#alerts.delete(key)
    // The value that breached the threshold no longer holds, and nobody has measured the one that does.
    return { ...firingAnomaly(alert), state: 'resolved', severity: 'info', message: `Resolved: ${alert.condition.message}`, value: null }
  }
}

function firingAnomaly ({ alertId, condition }: Alert): Anomaly {
  const { key, ...said } = condition
  return { ...said, alertId, state: 'firing' }
}
