import { MAX_ALERT_HISTORY, type Anomaly } from '../../../../schemas/anomaly.js'

/** The alerts that were resolved last. */
export class AlertHistory {
  /** Oldest first. */
  #resolved: Anomaly[] = []

  get resolved (): readonly Anomaly[] { return this.#resolved }

  add (ended: Anomaly): void {
    this.#resolved.push(ended)
    if (this.#resolved.length > MAX_ALERT_HISTORY) this.#resolved.shift()
  }

  replace (resolved: readonly Anomaly[]): void {
    this.#resolved = resolved.slice(-MAX_ALERT_HISTORY)
  }

  /** Resolved alerts together with the firing ones, newest first. */
  read (firing: readonly Anomaly[], limit: number): Anomaly[] {
    const startOf = ({ startsAt = '' }: Anomaly): number => Date.parse(startsAt)
    const all = [...this.#resolved, ...firing].sort((one, other) => startOf(other) - startOf(one))
    return all.slice(0, Math.min(limit, MAX_ALERT_HISTORY))
  }
}
