import type { MissionSubject, Principal } from '../../../schemas/access.js'

/** The sender of a command, and its permissions. */
export interface Caller {
  /** The Fastify request; for a command over a WebSocket, the request that opened the connection. */
  readonly request: unknown
  /** `null` over HTTP. */
  readonly connectionId: string | null
  /** `undefined` without access rules. */
  readonly principal: Principal | undefined
  /** The id of the principal. */
  readonly id: string | undefined
  /** The tenant whose missions it may see; `undefined` for all. */
  readonly tenant: string | undefined
  /** Whether it may do something, with this mission or in general. Never throws. */
  may (action: 'see' | 'cancel' | 'start', mission?: MissionSubject): boolean
  /** Whether there may be a mission that it may cancel. Never throws. */
  mayCancelAny (): boolean
}
