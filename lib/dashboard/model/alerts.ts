import { signal } from '@preact/signals-core'
import type { Anomaly } from '../../../schemas/anomaly.js'

/** An alert as the page shows it. Times are in ms since 1970. */
export interface PageAlert {
  readonly key: string
  readonly anomaly: Anomaly
  readonly startsAt: number
  readonly endsAt: number | undefined
}

const SEVERITY: Record<Anomaly['severity'], number> = { critical: 0, warning: 1, info: 2 }
export const MAX_ALERT_ROWS = 200

/** The firing alerts, worst first, and past alerts. */
export class AlertList {
  readonly firing = signal<readonly PageAlert[]>([])
  readonly history = signal<readonly PageAlert[]>([])

  /** Takes a message, and returns the alert if it is news that it fires. */
  apply (anomaly: Anomaly, nowMs: number): PageAlert | undefined {
    const known = this.firing.peek().find(({ key }) => key === anomaly.alertId)
    const alert = toAlert(anomaly, known?.startsAt ?? nowMs, nowMs)
    const others = this.firing.peek().filter(({ key }) => key !== alert.key)
    const isFiring = anomaly.state === 'firing'
    this.firing.value = isFiring ? [...others, alert].sort(compare) : others
    if (anomaly.snapshot === undefined) this.#remember(alert)
    return isFiring && known?.anomaly.severity !== anomaly.severity ? alert : undefined
  }

  /** Unknown until the service has sent the firing alerts again. */
  clear (): void {
    this.firing.value = []
  }

  /** Takes the history of the service, the newest first. */
  load (anomalies: readonly Anomaly[], nowMs: number): void {
    const known = new Set(anomalies.map(({ alertId }) => alertId))
    const own = this.history.peek().filter(({ key }) => !known.has(key))
    this.#keep([...anomalies.map((anomaly) => toAlert(anomaly, nowMs, nowMs)), ...own])
  }

  #remember (alert: PageAlert): void {
    this.#keep([alert, ...this.history.peek().filter(({ key }) => key !== alert.key)])
  }

  #keep (alerts: PageAlert[]): void {
    this.history.value = alerts.sort((a, b) => b.startsAt - a.startsAt).slice(0, MAX_ALERT_ROWS)
  }
}

function toAlert (anomaly: Anomaly, startedMs: number, nowMs: number): PageAlert {
  const { alertId, state, startsAt, endsAt } = anomaly
  const resolvedAt = endsAt === undefined ? nowMs : Date.parse(endsAt)
  return {
    key: alertId,
    anomaly,
    startsAt: startsAt === undefined ? startedMs : Date.parse(startsAt),
    endsAt: state === 'resolved' ? resolvedAt : undefined
  }
}

const compare = (a: PageAlert, b: PageAlert): number =>
  SEVERITY[a.anomaly.severity] - SEVERITY[b.anomaly.severity] || a.startsAt - b.startsAt
