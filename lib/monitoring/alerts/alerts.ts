import type { Anomaly } from '../../../schemas/anomaly.js'
import { createUnifiedId } from '../../base/clock.js'
import type { AlertCondition } from './alert-rules.js'

/** A firing alert; JSON. */
export interface SavedAlert { alertId: string, condition: AlertCondition }

/**
 * The alerts that are firing. Only changes are returned: an alert fires once, fires again with the same `alertId` when
 * its severity changes, and is resolved once. While a condition stays true, nothing is repeated.
 */
export class Alerts {
  readonly #alerts = new Map<string, SavedAlert>()

  /** The firing alerts, for `restore` in another process. */
  save (): SavedAlert[] {
    return [...this.#alerts.values()]
  }

  /** Takes over the firing alerts of another process. */
  restore (saved: readonly SavedAlert[]): void {
    this.#alerts.clear()
    for (const alert of saved) this.#alerts.set(alert.condition.key, alert)
  }

  /** Takes all conditions that are true now and returns the changes since the previous call. */
  evaluate (conditions: readonly AlertCondition[]): Anomaly[] {
    const current = new Map(conditions.map((condition) => [condition.key, condition]))
    const resolved = [...this.#alerts.keys()].filter((key) => !current.has(key)).map((key) => this.#resolve(key))
    const changed = [...current.values()].filter((condition) => this.#isChanged(condition))
    const fired = changed.map((condition) => this.#fire(condition))
    for (const [key, condition] of current) this.#alerts.get(key)!.condition = condition
    return [...resolved, ...fired]
  }

  /** All firing alerts, each with its latest value and marked as a snapshot. */
  firing (): Anomaly[] {
    return [...this.#alerts.values()].map((alert) => ({ ...firingAnomaly(alert), snapshot: true }))
  }

  #isChanged ({ key, severity }: AlertCondition): boolean {
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
    // A rule returns no value once its condition is false, so `value` is null.
    const message = `Resolved: ${alert.condition.message}`
    return { ...firingAnomaly(alert), state: 'resolved', severity: 'info', message, value: null }
  }
}

function firingAnomaly ({ alertId, condition }: SavedAlert): Anomaly {
  const { key, ...fields } = condition
  return { ...fields, alertId, state: 'firing' }
}
