import { MAX_FINGERPRINT, type Anomaly, type AnomalySeverity } from '../../../schemas/anomaly.js'

/** A mission affected by a condition. `since` orders them: later ones have not been named yet. */
export interface NamedMission { readonly id: string, readonly since: number }

/**
 * The measurement of a rule. The alert fires while `value` is above a limit; each limit has its severity. A reading
 * without a metric is a plain fact: its value is above 0 if it is true.
 */
export interface AlertReading {
  /** Few values: together with the rule, they identify the alert. */
  labels?: Readonly<Record<string, string>>
  metric: string | null
  /** `undefined` if it cannot be measured now; the alert with these labels then stays unchanged. */
  value: number | undefined
  limits: Readonly<Partial<Record<AnomalySeverity, number>>>
  /** Describes the value, such as `12 missions are active`. */
  text: string
  /** Describes the limit, such as `more than 10`. */
  describe?: (limit: number) => string
  details?: Anomaly['details']
  /** The missions that it is about, oldest first. */
  missions?: readonly NamedMission[]
  /** Whether the alert is sent again for missions that it has not named yet, so that it names each one once. */
  namesEach?: boolean
}

type AnomalyFields = 'category' | 'rule' | 'message' | 'metric' | 'value' | 'threshold' | 'details'

/** A condition that is true now. `key` is its fingerprint: there is at most one alert per key. */
export interface AlertCondition extends Pick<Anomaly, AnomalyFields> {
  key: string
  labels: Readonly<Record<string, string>>
  severity: AnomalySeverity
  missions?: readonly NamedMission[]
  namesEach?: boolean
}

const SEVERITIES = ['critical', 'warning', 'info'] as const
const RANKS: Readonly<Record<AnomalySeverity, number>> = { info: 1, warning: 2, critical: 3 }

/** A firing alert ends below this share of the limit that it exceeded. */
const LEAVE_SHARE = 0.8
const MAX_MESSAGE = 512
const MAX_LABEL = 128

export const isMoreSevere = (one: AnomalySeverity, other: AnomalySeverity): boolean => RANKS[one] > RANKS[other]

/** The fingerprint of an alert: `rule`, or `rule{label="value"}` with the labels in order. */
export function fingerprintOf (rule: string, labels: Readonly<Record<string, string>>): string {
  const names = Object.keys(labels).sort()
  if (names.length === 0) return rule
  const pairs = names.map((name) => `${name}=${JSON.stringify(labels[name])}`)
  return `${rule}{${pairs.join(',')}}`.slice(0, MAX_FINGERPRINT)
}

/** Labels that are not too long. */
export const cutLabels = (labels: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, value.slice(0, MAX_LABEL)]))

/** A reading with a value. */
export type Measured = AlertReading & { readonly value: number }

export const isMeasured = (reading: AlertReading): reading is Measured => reading.value !== undefined

/** The identity of a condition, without its measurement. */
export type ConditionIdentity = Pick<AlertCondition, 'key' | 'rule' | 'category' | 'labels'>

/**
 * The condition of a reading, or `undefined` if nothing is wrong. `before` is the severity of the alert that fires
 * already: it stays until the value is below 80 % of the limit.
 */
export function toCondition (
  identity: ConditionIdentity, reading: Measured, before: AnomalySeverity | undefined
): AlertCondition | undefined {
  const { metric, value, limits, text, describe, details = null, missions, namesEach } = reading
  for (const severity of SEVERITIES) {
    const limit = limits[severity]
    if (limit === undefined) continue
    const isHeld = before !== undefined && !isMoreSevere(severity, before)
    if (!(value > (isHeld ? limit * LEAVE_SHARE : limit))) continue
    const reason = describe === undefined ? '' : `, ${value > limit ? '' : 'after '}${describe(limit)}`
    return {
      ...identity,
      severity,
      message: cut(text + reason),
      metric,
      value: metric === null ? null : value,
      threshold: metric === null ? null : limit,
      details,
      ...missions !== undefined && { missions },
      ...namesEach !== undefined && { namesEach }
    }
  }
  return undefined
}

const cut = (text: string): string => text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE - 1)}…` : text
