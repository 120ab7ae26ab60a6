import type { Anomaly } from '../../../schemas/anomaly.js'
import type { AlertRuleName, AlertRulesOptions } from '../../../schemas/options/alerts.js'
import type { AlertReading } from './condition.js'
import type { AlertFacts } from './facts/alert-facts.js'

/** One rule of the table. */
export interface AlertRule<Name extends AlertRuleName = AlertRuleName> {
  readonly rule: Name
  readonly category: Anomaly['category']
  /** Whether it is about missions, and therefore evaluated for each tenant too. */
  readonly isAboutMissions: boolean
  /** Whom it wakes, and when. */
  readonly wakes: string
  /** The measured value. `undefined` if it cannot be measured now; the alerts of the rule then stay unchanged. */
  read (facts: AlertFacts, options: AlertRulesOptions[Name]): readonly AlertReading[] | undefined
}

/** Checks the options of a rule against its name. */
export const defineRule = <Name extends AlertRuleName>(rule: AlertRule<Name>): AlertRule =>
  rule as unknown as AlertRule

/** `3 minutes`, `2.5 hours`: a duration for people. */
export function formatDuration (ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${round(ms / 1_000)} s`
  if (ms < 7_200_000) return `${round(ms / 60_000)} min`
  return `${round(ms / 3_600_000)} h`
}

export const formatShare = (share: number): string => `${round(share * 100)} %`

const round = (value: number): string => String(Math.round(value * 10) / 10)
