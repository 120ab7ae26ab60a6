import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Clock } from '../../base/clock.js'
import { UpgradeRefused, UpgradeRequired } from '../../base/errors.js'
import type { Hub } from '../../hub/hub.js'
import { isWebSocketRoute, onRouted, socketOf } from '../own-route.js'
import { isHostAllowed } from './host.js'
import { isOriginAllowed } from './origin.js'
import { PendingUpgrades } from './pending-upgrades.js'
import { refuse } from './refusal.js'

export interface GuardDeps { hub: Hub, clock: Clock, options: ResolvedOptions['websocket'] }

/**
 * Guards all routes of the scope. Call it before the first route is mounted. Refuses hosts that are not allowed,
 * upgrades over HTTP/1.0, upgrades from pages of other origins, and upgrades to routes other than the WebSocket route:
 * the host's @fastify/websocket would accept and then close the latter. When the service closes, it destroys the
 * sockets of requests that still wait in a hook.
 */
export function guardRoutes (scope: FastifyInstance, { hub, clock, options }: GuardDeps): PendingUpgrades {
  const upgrades = new PendingUpgrades({ clock, hub })
  const requests = new WaitingRequests()
  onRouted(scope, (raw, isWebSocket) => {
    if (isWebSocket && raw.headers.upgrade !== undefined) upgrades.arrived(raw)
    else requests.arrived(raw)
  })
  scope.addHook('onRequest', async (request, reply) => {
    if (upgrades.isOver(request.raw)) return reply.hijack()
    const isUpgrade = request.headers.upgrade?.toLowerCase() === 'websocket'
    if (!isHostAllowed(request, options.allowedHosts)) return refuse(reply, isUpgrade ? hub.refuse('host') : 'host')
    if (!isUpgrade) return
    if (!isWebSocketRoute(request)) throw new UpgradeRefused()
    const { host, protocol, headers: { origin } } = request
    if (!isOriginAllowed({ origin, host, protocol }, options.allowedOrigins)) return refuse(reply, hub.refuse('origin'))
    const refusal = upgrades.refusalOf(request.raw)
    if (refusal !== undefined) return refuse(reply, hub.refuse(refusal))
    // RFC 6455 §4.2.1 requires HTTP/1.1; ws does not check the version.
    if (request.raw.httpVersion === '1.0') requireUpgrade(request, reply)
  })
  scope.addHook('preHandler', async ({ raw }) => requests.left(raw))
  scope.addHook('onSend', async ({ raw }) => upgrades.answered(raw))
  scope.addHook('preClose', async () => {
    upgrades.close()
    requests.close()
  })
  return upgrades
}

// RFC 9110 §15.5.22: a 426 names the protocol in `Upgrade`, which §7.8 requires `Connection` to list. HTTP/2 allows
// neither (RFC 9113 §8.2.2). Without `close`, Node.js would keep the connection open even if the client asks to close.
export function requireUpgrade ({ raw }: FastifyRequest, reply: FastifyReply): never {
  if (raw.httpVersionMajor === 1) reply.headers({ upgrade: 'websocket', connection: 'upgrade, close' })
  throw new UpgradeRequired()
}

/** The requests that wait in a hook, other than upgrades to the WebSocket route. */
class WaitingRequests {
  readonly #requests = new Set<IncomingMessage>()

  arrived (raw: IncomingMessage): void {
    const socket = socketOf(raw)
    if (socket === undefined) return
    this.#requests.add(raw)
    // The parser no longer watches the socket of an upgrade.
    const source = (raw as { upgrade?: boolean }).upgrade === true ? socket : raw
    source.once('close', () => this.left(raw))
  }

  left (raw: IncomingMessage): void {
    this.#requests.delete(raw)
  }

  close (): void {
    for (const { socket } of this.#requests) socket.destroy()
  }
}
