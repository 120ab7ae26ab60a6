import type { MissionSubject, Principal } from '../../../schemas/access.js'

/** Who sent a command, and what they may do. */
export interface Caller {
  /** The Fastify request; for a command over a WebSocket, the request that opened the connection. */
  readonly request: unknown
  /** `null` over HTTP. */
  readonly connectionId: string | null
  /** `undefined` without access rules. */
  readonly principal: Principal | undefined
  /** The id of the principal. */
  readonly id: string | undefined
  /** The tenant that they are limited to; `undefined` for none. */
  readonly tenant: string | undefined
  /** Whether they may do something, with this mission or at all. Never throws. */
  may (action: 'see' | 'cancel' | 'start', mission?: MissionSubject): boolean
}
