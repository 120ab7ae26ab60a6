import type { ClientMessage } from '../../schemas/messages/client-messages.js'
import type { ClientError } from './errors.js'
import type { ClientEvents } from './events.js'
import type { MissionMap } from './mission-map.js'
import type { ResolvedOptions } from './options.js'

/**
 * What the parts of a client share. They are functions over one such object, and not classes: what a page has to load is counted in bytes,
 * and names behind `this.` cannot be made short.
 */
export interface Core extends ResolvedOptions {
  readonly missions: MissionMap
  /** What is said to whoever comes when the client is closed. */
  closed?: ClientError
  makeId (): string
  /** To be called only while the connection is up. */
  send (message: ClientMessage): void
  emit<Name extends keyof ClientEvents> (name: Name, event: ClientEvents[Name]): void
}
