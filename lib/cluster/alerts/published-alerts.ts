import { Anomaly } from '../../../schemas/anomaly.js'
import type { PublicationEntry } from '../../backplane/contract.js'
import { Events, type Unsubscribe } from '../../base/events.js'
import { compile } from '../../base/validation.js'
import type { UpdatePlace } from '../../missions/index.js'
import { offsetIn } from '../picture/recent-entries.js'
import type { Picture } from '../picture/picture.js'
import { parseJson } from './retained-state.js'

/** The channels of the log: operators do not receive the alerts of tenants, so these have offsets of their own. */
export const ALERT_CHANNEL = 'anomaly_alert'
export const TENANT_ALERT_CHANNEL = 'tenant_alert'

export interface AlertOrigin {
  readonly head: { readonly offset: number, readonly id: string }
  readonly recent: ReadonlyArray<{ readonly payload: Anomaly, readonly place: UpdatePlace }>
}

export type AlertListener = (anomaly: Anomaly, place: UpdatePlace) => void

type AlertEvents = Events<{ published: Parameters<AlertListener> }>

const isAnomaly = compile(Anomaly)

/** The alerts in the log, for the clients of this process: those of operators, and those of each tenant. */
export class PublishedAlerts {
  readonly #picture: Picture
  readonly #operators: AlertEvents
  readonly #tenants = new Map<string, AlertEvents>()
  readonly #onListenerError: (err: unknown) => void

  constructor (picture: Picture, onListenerError: (err: unknown) => void) {
    this.#picture = picture
    this.#onListenerError = onListenerError
    this.#operators = new Events(onListenerError)
  }

  /** The tenants with listeners. */
  get tenants (): string[] { return [...this.#tenants.keys()] }

  /** Calls `listener` with every change. */
  on (tenant: string | undefined, listener: AlertListener): Unsubscribe {
    if (tenant === undefined) return this.#operators.on('published', listener)
    const events: AlertEvents = this.#tenants.get(tenant) ?? new Events(this.#onListenerError)
    this.#tenants.set(tenant, events)
    const unsubscribe = events.on('published', listener)
    return () => {
      unsubscribe()
      if (events.count('published') === 0) this.#tenants.delete(tenant)
    }
  }

  origin (tenant: string | undefined): AlertOrigin {
    const channel = tenant === undefined ? ALERT_CHANNEL : TENANT_ALERT_CHANNEL
    const recent: Array<AlertOrigin['recent'][number]> = []
    for (const { entry, at } of this.#picture.recent.of(channel, tenant)) {
      const payload = readAnomaly(entry.update)
      if (payload === undefined) recent.length = 0
      else recent.push({ payload, place: { id: entry.messageId, at, offset: offsetIn(entry, tenant) } })
    }
    return { head: this.#picture.head(channel, tenant), recent }
  }

  /** Publishes an entry of the channels. Returns whether it was one. */
  publish (entry: PublicationEntry, at: number): boolean {
    const { channel, tenant, update, messageId: id } = entry
    if (channel !== ALERT_CHANNEL && channel !== TENANT_ALERT_CHANNEL) return false
    const scope = channel === ALERT_CHANNEL ? undefined : String(tenant)
    const events = scope === undefined ? this.#operators : this.#tenants.get(scope)
    const anomaly = readAnomaly(update)
    if (anomaly !== undefined) events?.emit('published', anomaly, { id, at, offset: offsetIn(entry, scope) })
    return true
  }

  close (): void {
    this.#operators.clear()
    this.#tenants.clear()
  }
}

function readAnomaly (text: string): Anomaly | undefined {
  const anomaly = parseJson(text)
  return isAnomaly(anomaly) ? anomaly : undefined
}
