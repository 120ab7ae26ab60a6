import type { Principal } from '../../schemas/access.js'
import type { Access } from '../access/access.js'
import type { Clock } from '../base/clock.js'
import { callSync } from '../base/promises.js'
import type { Broadcaster } from './broadcaster.js'
import type { Connection } from './connections/connection.js'
import type { MessageEnvelope } from './wire/envelope.js'

export interface RenewalDeps {
  clock: Clock
  access: Access
  envelope: MessageEnvelope
  /** The broadcaster of the scope of a connection. */
  broadcasterOf: (connection: Connection) => Broadcaster
  /** Called when the principal of a connection was renewed, and may expire at another time. */
  onRenewed: (connection: Connection) => void
}

/** Renews the principals of connections whose clients send a new token. */
export class Renewal {
  readonly #deps: RenewalDeps
  /** The connections whose new token the host is checking. */
  readonly #asking = new WeakSet<Connection>()

  constructor (deps: RenewalDeps) {
    this.#deps = deps
  }

  /**
   * Lets the host check a new token. Then replies with `auth_refreshed`, or closes the connection if the host refuses
   * the token. Returns an error code if the token is not checked: the host has no `refresh`, or it is still checking
   * another token of this connection.
   */
  renew (connection: Connection, token: string, replyTo: string | undefined): 'unsupported' | 'forbidden' | undefined {
    if (!this.#deps.access.canRefresh) return 'unsupported'
    if (this.#asking.has(connection)) return 'forbidden'
    this.#asking.add(connection)
    this.#ask(connection, token, replyTo)
    return undefined
  }

  // `refresh` never rejects.
  async #ask (connection: Connection, token: string, replyTo: string | undefined): Promise<void> {
    const { access, clock, envelope, onRenewed } = this.#deps
    const { viewer, request } = connection
    const renewed = await access.refresh(token, viewer, request)
    this.#asking.delete(connection)
    if (connection.isClosing) return
    if (renewed === null) return connection.close('unauthorised')
    const { principal, expiresAt } = renewed
    Object.assign(viewer, { principal, expiresAt })
    onRenewed(connection)
    if (access.isNarrowed) for (const channel of connection.subscriptions.keys()) connection.outbox.recheck(channel)
    const payload = expiresAt === Infinity ? {} : { expiresInMs: Math.max(0, Math.floor(expiresAt - clock.now())) }
    connection.outbox.send(envelope.message('auth_refreshed', { payload }, { replyTo }))
    this.#revokeLost(connection)
  }

  // The renewed principal may have fewer permissions.
  #revokeLost (connection: Connection): void {
    const { access, broadcasterOf, envelope } = this.#deps
    for (const channel of [...connection.subscriptions.keys()]) {
      if (access.allows(connection.viewer, { action: 'subscribe', channel })) continue
      broadcasterOf(connection).subscriptions.leave(connection, channel)
      connection.outbox.send(envelope.message('subscription_revoked', { payload: { channel } }))
    }
  }
}

/** Closes the connections of the principals for which a function of the host returns `true`. Returns their number. */
export function revoke (connections: Iterable<Connection>, isRevoked: (principal: Principal) => unknown): number {
  const revoked = [...connections].filter(({ viewer: { principal }, isClosing }) =>
    !isClosing && principal !== undefined && callSync(() => isRevoked(principal)) === true)
  for (const connection of revoked) connection.close('unauthorised')
  return revoked.length
}
