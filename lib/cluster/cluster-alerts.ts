import { Anomaly } from '../../schemas/anomaly.js'
import { SavedAlerts, SavedHistory, SavedSilences } from '../../schemas/cluster/saved-alerts.js'
import { SavedSignals } from '../../schemas/cluster/saved-signals.js'
import type { PublicationEntry } from '../backplane/contract.js'
import type { Clock, Timer } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { compile } from '../base/validation.js'
import type { UpdatePlace } from '../missions/index.js'
import type { AdaptiveSignals, ScopeAlerts, SharedAlerts, Silence } from '../monitoring/index.js'
import { createPublication, type PendingStep } from './log/steps.js'
import type { Picture } from './picture/picture.js'

const CHANNEL = 'anomaly_alert'
/** The keys of the values that the log retains. */
const ALERTS = 'alerts'
const HISTORY = 'alert_history'
const SILENCES = 'alert_silences'
const SIGNALS = 'alert_signals'
/** How often the learned signals are retained. If another process takes over, later samples are lost. */
const SIGNALS_MS = 300_000
/** A longer value is not retained, so the oldest alerts are left out. */
const MAX_RETAINED = 60_000

const isAnomaly = compile(Anomaly)
const isSaved = compile(SavedAlerts)
const isHistory = compile(SavedHistory)
const isSilences = compile(SavedSilences)
const isSignals = compile(SavedSignals)

export interface ClusterAlertsDeps {
  clock: Clock
  intervalMs: number
  picture: Picture
  /** The alerts as this process evaluates them. */
  alerts: ScopeAlerts
  /** The state that the adaptive alerts have learned. */
  signals: Pick<AdaptiveSignals, 'save' | 'restore'>
  /** Whether this process evaluates the rules now. */
  isEvaluating: () => boolean
  append: (step: PendingStep) => void
  onListenerError: (err: unknown) => void
}

export interface AlertOrigin {
  readonly head: { readonly offset: number, readonly id: string }
  readonly recent: ReadonlyArray<{ readonly payload: Anomaly, readonly place: UpdatePlace }>
}

/**
 * The alerts of the whole service. One process at a time evaluates the rules. It publishes the changes through the log
 * together with the firing and resolved alerts, so that another process can take over.
 */
export class ClusterAlerts implements SharedAlerts {
  readonly #deps: ClusterAlertsDeps
  readonly #events: Events<{ published: [anomaly: Anomaly, place: UpdatePlace] }>
  readonly #timer: Timer
  /** The retained values that this process has read, and those that it has written, by key. */
  readonly #taken = new Map<string, string>()
  readonly #written = new Map<string, string>()
  #signalsAt: number

  constructor (deps: ClusterAlertsDeps) {
    this.#deps = deps
    this.#events = new Events(deps.onListenerError)
    this.#signalsAt = deps.clock.monotonic()
    this.#timer = deps.clock.every(deps.intervalMs, () => this.#evaluate())
  }

  firing (): Anomaly[] {
    this.#restore()
    return this.#deps.alerts.lifecycle.firing()
  }

  history (limit: number): Anomaly[] {
    this.#restore()
    return this.#deps.alerts.lifecycle.history(limit)
  }

  silence (fingerprint: string, until: number, by: string): void {
    const { alerts: { lifecycle: { silences }, time }, append } = this.#deps
    this.#restore()
    silences.set(fingerprint, { until, by }, time.now)
    const retain = this.#keep(SILENCES, silences.read())
    append(createPublication({ channel: CHANNEL, tenant: undefined, isReliable: false, payload: undefined, retain }))
  }

  /** Calls `listener` with every change. */
  onPublished (listener: (anomaly: Anomaly, place: UpdatePlace) => void): Unsubscribe {
    return this.#events.on('published', listener)
  }

  origin (): AlertOrigin {
    const { picture } = this.#deps
    const recent: Array<AlertOrigin['recent'][number]> = []
    for (const { entry, at } of picture.recent.of(CHANNEL, undefined)) {
      const payload = readAnomaly(entry.update)
      if (payload === undefined) recent.length = 0
      else recent.push({ payload, place: { id: entry.messageId, at, offset: entry.offset } })
    }
    return { head: picture.head(CHANNEL, undefined), recent }
  }

  /** Publishes an entry of the channel. Returns whether it was one. */
  published ({ channel, update, offset, messageId }: PublicationEntry, at: number): boolean {
    if (channel !== CHANNEL) return false
    const anomaly = readAnomaly(update)
    if (anomaly !== undefined) this.#events.emit('published', anomaly, { id: messageId, at, offset })
    return true
  }

  close (): void {
    this.#timer.cancel()
    this.#events.clear()
  }

  #evaluate (): void {
    const { isEvaluating, alerts, append } = this.#deps
    if (!isEvaluating()) return
    this.#restore()
    const changes = alerts.evaluate()
    const saved = { channel: CHANNEL, tenant: undefined, payload: undefined, isReliable: false }
    if (changes.some(({ state }) => state === 'resolved')) {
      const history = this.#keep(HISTORY, shorten(alerts.lifecycle.saveHistory()))
      append(createPublication({ ...saved, retain: history }))
    }
    for (const [index, payload] of changes.entries()) {
      const isLast = index === changes.length - 1
      const retain = isLast ? this.#keep(ALERTS, alerts.lifecycle.save(alerts.time)) : undefined
      append(createPublication({ ...saved, isReliable: true, payload, retain }))
    }
    this.#keepSignals()
  }

  #keepSignals (): void {
    const { signals, clock, append } = this.#deps
    const at = clock.monotonic()
    if (at - this.#signalsAt < SIGNALS_MS) return
    this.#signalsAt = at
    const retain = this.#keep(SIGNALS, signals.save())
    append(createPublication({ channel: CHANNEL, tenant: undefined, isReliable: false, payload: undefined, retain }))
  }

  #keep (key: string, saved: unknown): { key: string, value: string } {
    const value = JSON.stringify(saved)
    this.#written.set(key, value)
    return { key, value }
  }

  // The last evaluation may have been that of another process.
  #restore (): void {
    const { alerts: { lifecycle, time }, signals } = this.#deps
    this.#take(ALERTS, isSaved, (saved) => lifecycle.restore(saved, time))
    this.#take(HISTORY, isHistory, (saved) => lifecycle.restoreHistory(saved))
    this.#take(SILENCES, isSilences, (saved) => lifecycle.silences.replace(saved as Array<[string, Silence]>))
    this.#take(SIGNALS, isSignals, (saved) => signals.restore(saved, time))
  }

  #take<Saved> (
    key: string, isValid: (value: unknown) => value is Saved[], restore: (saved: Saved[]) => void
  ): void {
    const retained = this.#deps.picture.retained.get(key) ?? '[]'
    const before = this.#taken.get(key) ?? '[]'
    this.#taken.set(key, retained)
    // Until an own value has come back, the log still has the one before it.
    if (retained === before || retained === this.#written.get(key)) return
    const saved = parse(retained)
    restore(isValid(saved) ? saved : [])
  }
}

/** The newest alerts whose JSON is not too long. */
function shorten (alerts: readonly Anomaly[]): Anomaly[] {
  const kept: Anomaly[] = []
  let length = 0
  for (const alert of [...alerts].reverse()) {
    length += JSON.stringify(alert).length
    if (length > MAX_RETAINED) break
    kept.unshift(alert)
  }
  return kept
}

function readAnomaly (text: string): Anomaly | undefined {
  const anomaly = parse(text)
  return isAnomaly(anomaly) ? anomaly : undefined
}

function parse (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
