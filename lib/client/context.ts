import type { ClientMessage } from '../../schemas/messages/client-messages.js'
import type { ClientError } from './errors.js'
import type { ClientEvents, ClientState, StateCause } from './types.js'
import type { MissionMap } from './missions/mission-map.js'
import type { ResolvedClientOptions } from './options.js'

/**
 * What the parts of a client share. They are functions over one such object, and not classes: what a page has to load is counted in bytes,
 * and names behind `this.` cannot be made short.
 */
export interface ClientContext extends ResolvedClientOptions {
  readonly missions: MissionMap
  /** What is said to whoever comes when the client is closed. */
  closed?: ClientError
  state: ClientState
  cause: StateCause
  /** Whether there is a connection over which can be sent. */
  isUp: boolean
  /** When the service has said that it can be connected to again, in ms of the clock. */
  reconnectAt?: number
  makeId (): string
  /** To be called only while the connection is up. */
  send (message: ClientMessage): void
  emit<Name extends keyof ClientEvents> (name: Name, event: ClientEvents[Name]): void
}
