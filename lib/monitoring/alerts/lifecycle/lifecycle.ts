import type { Anomaly, AnomalySeverity } from '../../../../schemas/anomaly.js'
import type { AlertRuleOptions } from '../../../../schemas/options/alerts.js'
import { isMoreSevere, type AlertCondition } from '../condition.js'
import type { Evaluation } from '../evaluate-rules.js'
import { AlertEntry, type AlertTime } from './alert-entry.js'
import { AlertHistory } from './alert-history.js'
import { Flapping } from './flapping.js'
import { MessageBudget } from './message-budget.js'
import { entryOf, saveEntry, type SavedAlert } from './saved-alert.js'
import { Silences } from './silences.js'
import { SUMMARY_RULE, summaryOf } from './summary.js'

/** How a rule behaves over time. */
export type RuleTimes = Pick<AlertRuleOptions, 'forMs' | 'keepMs'> & Partial<Pick<AlertRuleOptions, 'repeatMs'>>

export interface LifecycleDeps {
  times: (rule: string) => RuleTimes
  /** For rules without a time of their own. */
  repeatMs: number
  /** The labels of every alert. */
  labels?: Readonly<Record<string, string>> | undefined
  /** The silences, if others have the same ones. */
  silences?: Silences | undefined
  /** Whether a summary alert fires for alerts that are not sent; `true` by default. */
  summarizes?: boolean | undefined
  /** An alert has begun to fire, or was resolved. */
  onTransition?: ((rule: string, state: Anomaly['state']) => void) | undefined
}

/** Both limits include the summary alert. */
const MAX_FIRING = 50
const MAX_MESSAGES_PER_MINUTE = 20
/** How many conditions are remembered that do not fire yet. */
const MAX_PENDING = 500

/**
 * The life of alerts: a condition is pending until it was true for the time of its rule, then its alert fires, until
 * the condition was false for the keep time. Only changes are returned, and reminders. A severity rises at once and
 * falls after the keep time. A change that is not sent because of the limit waits until it may be sent, or is outdated.
 * The caller passes the time.
 */
export class AlertLifecycle {
  readonly silences: Silences
  readonly #deps: LifecycleDeps
  readonly #entries = new Map<string, AlertEntry>()
  readonly #history = new AlertHistory()
  readonly #flapping = new Flapping()
  readonly #budget = new MessageBudget(MAX_MESSAGES_PER_MINUTE - 1)
  readonly #summaryBudget = new MessageBudget(1)
  /** Resolved alerts whose end was not sent yet. */
  #unsentEnds: Anomaly[] = []
  #suppressed = 0
  #summary: AlertEntry | undefined

  constructor (deps: LifecycleDeps) {
    this.#deps = deps
    this.silences = deps.silences ?? new Silences()
  }

  /** The severity of the alert with this fingerprint, if it fires. */
  severityOf (key: string): AnomalySeverity | undefined {
    const entry = this.#entries.get(key)
    return entry?.isFiring === true ? entry.severity : undefined
  }

  /** Takes the current conditions and returns the messages to send. */
  evaluate ({ conditions, unknown }: Evaluation, time: AlertTime): Anomaly[] {
    this.#suppressed = 0
    const current = new Set<string>()
    for (const condition of conditions) {
      current.add(condition.key)
      this.#observe(condition, time)
    }
    for (const entry of this.#entries.values()) {
      const { key, rule } = entry.condition
      if (!current.has(key) && !unknown.has(rule) && !unknown.has(key)) this.#miss(entry, time)
    }
    return this.#send(time)
  }

  /** All firing alerts, each with its latest value and marked as a snapshot. */
  firing (): Anomaly[] {
    return this.#shown().map((entry) => ({ ...entry.anomaly(), snapshot: true }))
  }

  /** The latest alerts, firing and resolved, newest first. */
  history (limit: number): Anomaly[] {
    return this.#history.read(this.#shown().map((entry) => entry.anomaly()), limit)
  }

  /** The alerts with their state, for `restore` in another process. */
  save (time: AlertTime): SavedAlert[] {
    return this.#shown().map((entry) => saveEntry(entry, time))
  }

  /** The resolved alerts, for `restoreHistory` in another process. */
  saveHistory (): readonly Anomaly[] { return this.#history.resolved }

  /** Takes over the firing alerts of another process. */
  restore (saved: readonly SavedAlert[], time: AlertTime): void {
    this.#entries.clear()
    this.#summary = undefined
    this.#unsentEnds = []
    for (const alert of saved.slice(0, MAX_FIRING)) {
      const entry = entryOf(alert, time)
      if (alert.condition.rule === SUMMARY_RULE) this.#summary = entry
      else this.#entries.set(alert.condition.key, entry)
    }
  }

  restoreHistory (resolved: readonly Anomaly[]): void {
    this.#history.replace(resolved)
  }

  #firing (): AlertEntry[] { return [...this.#entries.values()].filter((entry) => entry.isFiring) }

  // With the summary, which is last.
  #shown (): AlertEntry[] { return this.#summary === undefined ? this.#firing() : [...this.#firing(), this.#summary] }

  #observe (condition: AlertCondition, time: AlertTime): void {
    const known = this.#entries.get(condition.key)
    const entry = known ?? new AlertEntry(condition, time.at)
    if (known === undefined) {
      if (this.#entries.size >= MAX_PENDING) {
        this.#suppressed++
        return
      }
      this.#entries.set(condition.key, entry)
    }
    entry.update(condition)
    if (entry.isFiring) this.#change(entry, condition.severity, time)
    else if (time.at - entry.since >= this.#deps.times(condition.rule).forMs) this.#fire(entry, time)
  }

  #fire (entry: AlertEntry, time: AlertTime): void {
    // The last place is for the summary.
    if (this.#firing().length >= MAX_FIRING - 1) {
      this.#suppressed++
      return
    }
    entry.fire(time)
    entry.isFlapping = this.#flapping.fired(entry.condition.key, time.at)
    this.#deps.onTransition?.(entry.condition.rule, 'firing')
  }

  #change (entry: AlertEntry, severity: AnomalySeverity, { at }: AlertTime): void {
    entry.absentSince = undefined
    if (isMoreSevere(severity, entry.severity)) entry.severity = severity
    if (severity === entry.severity) {
      entry.milderSince = undefined
      return
    }
    entry.milderSince ??= at
    if (at - entry.milderSince < this.#keepMs(entry)) return
    entry.severity = severity
    entry.milderSince = undefined
  }

  #miss (entry: AlertEntry, { at, now }: AlertTime): void {
    if (entry.isFiring) {
      entry.absentSince ??= at
      if (at - entry.absentSince < this.#keepMs(entry)) return
      this.#end(entry, now)
    }
    this.#entries.delete(entry.condition.key)
  }

  #keepMs ({ condition, isFlapping }: AlertEntry): number {
    const { keepMs } = this.#deps.times(condition.rule)
    return isFlapping ? keepMs * 2 : keepMs
  }

  #send (time: AlertTime): Anomaly[] {
    const messages: Anomaly[] = []
    this.#unsentEnds = this.#unsentEnds.filter((ended) => {
      if (!this.#budget.take(time.at)) return true
      messages.push(ended)
      return false
    })
    const firing = this.#firing()
    for (const entry of firing) this.#silence(entry, time.now)
    const isOld = ({ told }: AlertEntry) => told !== undefined
    for (const entry of [...firing.filter(isOld), ...firing.filter((one) => !isOld(one))]) {
      const message = this.#messageOf(entry, time.at)
      if (message === undefined) continue
      if (this.#budget.take(time.at)) {
        messages.push(message)
        entry.sent(time.at)
      } else this.#suppressed++
    }
    return [...messages, ...this.#summarize(time)]
  }

  #silence (entry: AlertEntry, now: number): void {
    const until = this.silences.until(entry.condition.key, now)
    if (until === entry.silencedUntil) return
    entry.silencedUntil = until
    entry.isSilenceNews = true
  }

  #messageOf (entry: AlertEntry, at: number): Anomaly | undefined {
    const { told, severity, isSilenceNews, sentAt, condition: { rule } } = entry
    if (told === undefined) return entry.anomaly(true)
    if (told !== severity || isSilenceNews || entry.isNamingDue(at)) return entry.anomaly(true)
    const { repeatMs = this.#deps.repeatMs } = this.#deps.times(rule)
    const isDue = repeatMs > 0 && entry.silencedUntil === undefined && at - sentAt >= repeatMs
    return isDue ? { ...entry.anomaly(true), reminder: true } : undefined
  }

  // One alert stands for everything that is not sent: silence must not look like health.
  #summarize (time: AlertTime): Anomaly[] {
    const suppressed = this.#suppressed
    if (suppressed === 0 || this.#deps.summarizes === false) return this.#endSummary(time)
    const condition = summaryOf(suppressed, this.#deps.labels)
    const isNew = this.#summary === undefined
    const entry = this.#summary ??= new AlertEntry(condition, time.at)
    entry.update(condition)
    entry.absentSince = undefined
    if (isNew) {
      entry.fire(time)
      this.#deps.onTransition?.(condition.rule, 'firing')
    }
    if (entry.told !== undefined || !this.#summaryBudget.take(time.at)) return []
    entry.sent(time.at)
    return [entry.anomaly()]
  }

  #endSummary (time: AlertTime): Anomaly[] {
    const entry = this.#summary
    if (entry === undefined) return []
    entry.absentSince ??= time.at
    if (time.at - entry.absentSince < this.#keepMs(entry)) return []
    this.#summary = undefined
    this.#end(entry, time.now)
    return entry.told !== undefined && this.#summaryBudget.take(time.at) ? this.#unsentEnds.splice(-1) : []
  }

  #end (entry: AlertEntry, now: number): void {
    const ended = entry.resolution(now)
    this.#history.add(ended)
    if (entry.told !== undefined) this.#unsentEnds.push(ended)
    this.#deps.onTransition?.(entry.condition.rule, 'resolved')
  }
}
