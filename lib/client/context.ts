import type { ClientMessage } from '../../schemas/messages/client-messages.js'
import type { ClientError } from './errors.js'
import { createListeners, type Listeners } from './listeners.js'
import { createMissionMap, type MissionMap } from './missions/mission-map.js'
import type { Pace } from './connection/pace.js'
import type { ResolvedClientOptions } from './options.js'
import type { SubscribedChannel } from './subscriptions/subscribed-channel.js'
import type { ClientMissionState, ClientState, StateCause } from './types.js'

/** State shared by the parts of a client. */
export interface ClientContext extends ResolvedClientOptions, Listeners {
  readonly missions: MissionMap
  /** Of the current connection. */
  pace: Pace
  /** Set when the client is closed. Pending calls and later ones reject with it. */
  closed?: ClientError
  state: ClientState
  cause: StateCause
  /** Whether the connection is open, so that messages can be sent. */
  isUp: boolean
  /** When the last connection was opened, in ms of the clock; Infinity if the last attempt failed. */
  openedAt: number
  rttMs?: number
  /** Earliest time to reconnect as announced by the service, in ms of the clock. */
  reconnectAt?: number
  /** Active missions that the last full state of the service did not contain. */
  lost: readonly ClientMissionState[]
  /** Call after a change of the missions, of `lost` or of the state. */
  touch (): void
  /** Notifies the subscribers of a change now instead of with the next frame. */
  flush (): void
  /** One per channel. */
  subscriptions: readonly SubscribedChannel[]
  /** Sends a new token over the current connection, which sets it. */
  renew (): void
  /** Returns a new message id. */
  makeId (): string
  /** Sends over the current connection, which sets it. Messages for a connection that was lost are dropped. */
  send (message: ClientMessage): void
}

/** Set by each connection before it is up, and by other parts. */
type SetLater = 'subscriptions' | 'renew' | 'send' | 'pace' | 'touch' | 'flush'

export function createContext (options: ResolvedClientOptions): ClientContext {
  const prefix = options.random().toString(36).slice(2)
  let ids = 0
  const context: ClientContext = {
    ...options,
    ...createListeners(options.channels),
    missions: createMissionMap(options.filter, () => context.touch()),
    state: 'connecting',
    cause: 'start',
    isUp: false,
    lost: [],
    openedAt: Infinity,
    makeId: () => `${prefix}-${++ids}`
  } satisfies Omit<ClientContext, SetLater> as Omit<ClientContext, SetLater> as ClientContext
  return context
}

/** Changes the state and emits it. Always the last step of an operation: a listener may close the client. */
export function setState (
  context: ClientContext, state: ClientState, cause: StateCause, wait?: { retryInMs: number }
): void {
  context.state = state
  context.cause = cause
  context.touch()
  context.emit('state', { state, cause, ...wait })
}
