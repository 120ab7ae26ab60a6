import { Anomaly } from '../../schemas/anomaly.js'
import { SavedAlerts } from '../../schemas/cluster/messages.js'
import type { PublicationEntry } from '../backplane/contract.js'
import type { Clock, Timer } from '../base/clock.js'
import { Events, type Unsubscribe } from '../base/events.js'
import { compile } from '../base/validation.js'
import type { UpdatePlace } from '../missions/index.js'
import { Alerts, evaluateRules, type AlertFacts } from '../monitoring/index.js'
import { createPublication, type PendingStep } from './log/steps.js'
import type { Picture } from './picture/picture.js'

const CHANNEL = 'anomaly_alert'
const RETAINED = 'alerts'

const isAnomaly = compile(Anomaly)
const isSaved = compile(SavedAlerts)

export interface ClusterAlertsDeps {
  clock: Clock
  intervalMs: number
  picture: Picture
  facts: () => AlertFacts
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
 * The alerts of the whole service. One process at a time evaluates the rules and publishes the changes through the log,
 * together with the alerts that fire, so that another one can go on.
 */
export class ClusterAlerts {
  readonly #deps: ClusterAlertsDeps
  readonly #events: Events<{ published: [anomaly: Anomaly, place: UpdatePlace] }>
  readonly #timer: Timer
  #restored: string | undefined
  #alerts = new Alerts()

  constructor (deps: ClusterAlertsDeps) {
    this.#deps = deps
    this.#events = new Events(deps.onListenerError)
    this.#timer = deps.clock.every(deps.intervalMs, () => this.#evaluate())
  }

  firing (): Anomaly[] {
    this.#restore()
    return this.#alerts.firing()
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
    const { isEvaluating, facts, append } = this.#deps
    if (!isEvaluating()) return
    this.#restore()
    const changes = this.#alerts.evaluate(evaluateRules(facts()))
    for (const [index, payload] of changes.entries()) {
      const isLast = index === changes.length - 1
      const retain = isLast ? { key: RETAINED, value: this.#restored = JSON.stringify(this.#alerts.save()) } : undefined
      append(createPublication({ channel: CHANNEL, tenant: undefined, isReliable: true, payload, retain }))
    }
  }

  // The last evaluation may have been that of another process.
  #restore (): void {
    const retained = this.#deps.picture.retained.get(RETAINED) ?? '[]'
    if (retained === this.#restored) return
    this.#restored = retained
    const saved = parse(retained)
    this.#alerts.restore(isSaved(saved) ? saved : [])
  }
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
