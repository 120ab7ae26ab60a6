import { HostAlertResult, HostAlertRuleHead, type HostAlertReading } from '../../../schemas/alert-rule.js'
import type { HealthSnapshot } from '../../../schemas/health.js'
import type { MissionTotals } from '../../../schemas/mission.js'
import type { Clock } from '../../base/clock.js'
import { AlertRuleTimeout, Closing, InvalidAlertReading, InvalidOption } from '../../base/errors.js'
import { compile, describeFailure } from '../../base/validation.js'
import { GuardedRun } from '../health/guarded-run.js'
import { ALERT_RULES, type EvaluatedRule } from './alert-rules.js'
import type { AlertReading } from './condition.js'
import type { AlertFacts } from './facts/alert-facts.js'

/** The input of a host rule: the totals of all missions, and the health. `now` is in ms since 1970. */
export interface HostAlertFacts {
  readonly now: number
  readonly missions: MissionTotals
  readonly health: HealthSnapshot
}

/** An alert rule of the host. */
export interface HostAlertRule {
  /** The name of the rule: letters, digits, `_`, `.`, `:` and `-`, up to 64 characters. */
  rule: string
  /** `mission` by default. */
  category?: HostAlertRuleHead['category'] | undefined
  /** How long the condition must be true before the alert fires; 60 s by default. */
  forMs?: number | undefined
  /** How long the condition must be false before the alert is resolved; 5 minutes by default. */
  keepMs?: number | undefined
  /** Time between reminders; `alerts.repeatMs` by default. */
  repeatMs?: number | undefined
  /** How long `evaluate` may take; 5 s by default. */
  timeoutMs?: number | undefined
  /**
   * Called at each evaluation, one call at a time. The result counts from the next evaluation on. While it throws,
   * rejects, takes too long or returns something else, the alerts of the rule stay as they are.
   */
  evaluate (facts: HostAlertFacts): HostAlertResult | undefined | void | Promise<HostAlertResult | undefined | void>
}

const TIMEOUT_MS = 5_000

const MAX_DETAILS = 4_096

const isHead = compile(HostAlertRuleHead)
const isResult = compile(HostAlertResult)

/** A host rule with the function that calls it. */
export interface HostedRule extends EvaluatedRule { close (): void }

/**
 * The rules of the host, ready to be evaluated.
 *
 * @throws FST_MC_INVALID_OPTION for a rule of the wrong shape, or a name that is taken
 */
export function bindHostRules (rules: readonly HostAlertRule[], clock: Clock): HostedRule[] {
  const taken = new Set<string>(ALERT_RULES.map(({ rule }) => rule))
  return rules.map((one, index) => {
    const head = readHead(one, index)
    if (taken.has(head.rule)) throw new InvalidOption(`alerts.add.${index}.rule is "${head.rule}", which is taken`)
    taken.add(head.rule)
    return bindHostRule(one, head, clock)
  })
}

function readHead (one: HostAlertRule, index: number): HostAlertRuleHead {
  const { rule, category, forMs, keepMs, repeatMs, timeoutMs } = one
  const given = Object.entries({ rule, category, forMs, keepMs, repeatMs, timeoutMs })
  const head: unknown = Object.fromEntries(given.filter(([, value]) => value !== undefined))
  if (!isHead(head)) {
    throw new InvalidOption(`alerts.add.${index} is not a rule: ${describeFailure(isHead.errors).join('; ')}`)
  }
  if (typeof one.evaluate !== 'function') throw new InvalidOption(`alerts.add.${index}.evaluate must be a function`)
  return head
}

function bindHostRule (one: HostAlertRule, head: HostAlertRuleHead, clock: Clock): HostedRule {
  const { rule, category = 'mission', forMs = 60_000, keepMs = 300_000, repeatMs, timeoutMs = TIMEOUT_MS } = head
  let facts!: HostAlertFacts
  const run = new GuardedRun({
    clock, timeoutMs, run: async () => await one.evaluate(facts), read: readResult, onFailure: () => {}
  })
  return {
    rule,
    category,
    isAboutMissions: false,
    options: { enabled: true, forMs, keepMs, ...repeatMs !== undefined && { repeatMs } },
    read ({ now, missions, health }: AlertFacts) {
      const { outcome } = run
      facts = Object.freeze({ now, missions: missions.totals, health })
      run.start()
      if (outcome === undefined) return undefined
      if (outcome.code === null) return outcome.value
      throw outcome.code === 'check_timeout' ? new AlertRuleTimeout(timeoutMs) : outcome.err
    },
    close: () => run.stop(new Closing())
  }
}

function readResult (returned: unknown): AlertReading[] {
  const result = returned ?? null
  if (!isResult(result)) throw new InvalidAlertReading(describeFailure(isResult.errors).join('; '))
  return [result ?? []].flat().map(toReading)
}

function toReading (reading: HostAlertReading): AlertReading {
  const { message, value, metric = null, info, warning, critical, labels, details, missionIds } = reading
  const limits = Object.entries({ info, warning, critical }).filter(([, limit]) => limit !== undefined)
  return {
    metric,
    value,
    limits: Object.fromEntries(limits),
    text: message,
    ...labels !== undefined && { labels },
    ...details !== undefined && { details: copyDetails(details) },
    ...missionIds !== undefined && { missions: missionIds.map((id) => ({ id, since: 0 })) }
  }
}

function copyDetails (details: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(details)
  // A date, for example, is an object whose JSON is a text.
  if (!text.startsWith('{')) throw new InvalidAlertReading('details must be an object in JSON too')
  if (text.length <= MAX_DETAILS) return JSON.parse(text) as Record<string, unknown>
  throw new InvalidAlertReading(`details must be at most ${MAX_DETAILS} characters of JSON`)
}
