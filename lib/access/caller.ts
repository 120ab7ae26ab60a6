import type { AccessAction, MissionSubject, Principal } from '../../schemas/access.js'
import type { Access } from './access.js'
import type { Viewer } from './viewer.js'

/** Where a command comes from. */
export interface CallerOptions {
  /** The Fastify request; for a command over a WebSocket, the request that opened the connection. */
  request: unknown
  /** `null` over HTTP. */
  connectionId: string | null
}

/** A viewer that sends a command. */
export class AccessCaller {
  readonly request: unknown
  readonly connectionId: string | null
  readonly #access: Access
  readonly #viewer: Viewer

  constructor (access: Access, viewer: Viewer, { request, connectionId }: CallerOptions) {
    this.#access = access
    this.#viewer = viewer
    this.request = request
    this.connectionId = connectionId
  }

  get principal (): Principal | undefined { return this.#viewer.principal }

  get id (): string | undefined { return this.#viewer.id }

  get tenant (): string | undefined { return this.#viewer.tenant }

  /** Whether the viewer may do something, with this mission or in general. Never throws. */
  may (action: AccessAction, mission?: MissionSubject): boolean {
    return this.#access.allows(this.#viewer, mission === undefined ? { action } : { action, mission })
  }

  /** @see Access.mayCancelAny */
  mayCancelAny (): boolean { return this.#access.mayCancelAny(this.#viewer) }
}
