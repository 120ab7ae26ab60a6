import { MAX_ALERT_MISSIONS, type Anomaly, type AnomalySeverity } from '../../../../schemas/anomaly.js'
import { createUnifiedId } from '../../../base/clock.js'
import type { AlertCondition, NamedMission } from '../condition.js'

/** The same moment on both clocks, in ms: the wall clock since 1970, and the monotonic clock. */
export interface AlertTime { readonly now: number, readonly at: number }

/** How long missions that an alert has not named yet wait for others, so that they are named together. */
const NAMING_MS = 60_000
/** The shortest time between two messages that name missions. */
const NAMING_PAUSE_MS = 300_000
/** How many named missions are remembered. */
const MAX_NAMED = 1_000

/**
 * One condition on its way from pending over firing to resolved. Times are in ms of the monotonic clock, except
 * `startsAt`.
 */
export class AlertEntry {
  condition: AlertCondition
  /** Present once it fires. */
  alertId: string | undefined
  severity: AnomalySeverity
  startsAt = 0
  peak: number | null
  /** The severity that was last sent to subscribers; `undefined` if none was sent. */
  told: AnomalySeverity | undefined
  sentAt = 0
  isFlapping = false
  /** Since when the condition is true, while it is pending. */
  since: number
  /** Since when the condition is false, while it fires. */
  absentSince: number | undefined
  /** Since when the severity is lower than the one that was sent. */
  milderSince: number | undefined
  silencedUntil: number | undefined
  /** Whether the silence was changed since the last message. */
  isSilenceNews = false
  /** The missions up to this time were named. */
  namedUpTo = -Infinity
  #named = new Set<string>()
  #unnamedSince: number | undefined

  constructor (condition: AlertCondition, at: number) {
    this.condition = condition
    this.severity = condition.severity
    this.peak = condition.value
    this.since = at
  }

  get isFiring (): boolean { return this.alertId !== undefined }

  fire ({ now }: AlertTime): void {
    this.alertId = createUnifiedId('alert')
    this.startsAt = now
    this.severity = this.condition.severity
  }

  /** Takes the condition as it is now. */
  update (condition: AlertCondition): void {
    this.condition = condition
    if (condition.value !== null && !(this.peak !== null && this.peak >= condition.value)) this.peak = condition.value
  }

  /** The missions that were not named yet. */
  unnamed (): readonly NamedMission[] {
    const { missions = [], namesEach } = this.condition
    if (namesEach !== true) return []
    return missions.filter(({ id, since }) => since > this.namedUpTo && !this.#named.has(id))
  }

  /** Whether there are missions that were not named yet, and that have waited for long enough. */
  isNamingDue (at: number): boolean {
    if (this.unnamed().length === 0) return false
    this.#unnamedSince ??= at
    return at - this.#unnamedSince >= NAMING_MS && at - this.sentAt >= NAMING_PAUSE_MS
  }

  /** The message that the alert fires; with `isNews`, it names the missions that were not named yet. */
  anomaly (isNews = false): Anomaly {
    const { key, missions = [], namesEach, labels, ...fields } = this.condition
    const shown = isNews && namesEach === true ? this.unnamed() : missions
    const ids = shown.slice(0, MAX_ALERT_MISSIONS).map(({ id }) => id)
    return {
      ...fields,
      severity: this.severity,
      ...isNews && namesEach === true && ids.length > 0 && { message: withIds(fields.message, ids, shown.length) },
      alertId: this.alertId!,
      state: 'firing',
      fingerprint: key,
      labels: { ...labels },
      startsAt: new Date(this.startsAt).toISOString(),
      peak: this.peak,
      ...this.isFlapping && { flapping: true as const },
      ...this.silencedUntil !== undefined && { silencedUntil: new Date(this.silencedUntil).toISOString() },
      ...ids.length > 0 && { missionIds: ids }
    }
  }

  /** The message that the alert has ended. */
  resolution (now: number): Anomaly {
    const { silencedUntil, missionIds, ...anomaly } = this.anomaly()
    const message = `Resolved: ${anomaly.message}`.slice(0, 512)
    const endsAt = new Date(now).toISOString()
    return { ...anomaly, state: 'resolved', severity: 'info', message, value: null, endsAt }
  }

  /** A message was sent. */
  sent (at: number): void {
    this.told = this.severity
    this.sentAt = at
    this.isSilenceNews = false
    this.#unnamedSince = undefined
    const unnamed = this.unnamed()
    const current = new Set(this.condition.missions?.map(({ id }) => id))
    for (const id of this.#named) if (!current.has(id)) this.#named.delete(id)
    for (const { id, since } of unnamed) {
      this.namedUpTo = Math.max(this.namedUpTo, since)
      if (this.#named.size < MAX_NAMED) this.#named.add(id)
    }
  }
}

function withIds (message: string, ids: readonly string[], count: number): string {
  const more = count > ids.length ? ` and ${count - ids.length} more` : ''
  return `${message}: ${ids.join(', ')}${more}`.slice(0, 512)
}
