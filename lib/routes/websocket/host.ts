import type { AddressInfo, Server } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { ResolvedOptions } from '../../../schemas/options.js'
import { socketOf } from '../own-route.js'

type AllowedHosts = ResolvedOptions['websocket']['allowedHosts']

/** Host names of loopback as browsers send them, without a port. */
const LOOPBACK_NAME = /^(?:(?:[a-z0-9-]+\.)*localhost|127(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}|\[::1\])$/
const LOOPBACK_ADDRESS = /^(?:127\.|::1$|::ffff:127\.)/

const DEFAULT_PORT: Record<string, string> = { http: '80', https: '443' }

/**
 * Whether a request names a host that is allowed. A page can point its own host name at the address of the service, and
 * then has the same origin (DNS rebinding); its requests still name its own host. Only requests over TCP that have a
 * `Host` are checked: browsers always send one. Forwarding headers do not count, because such a page can set them.
 */
export function isHostAllowed (request: FastifyRequest, allowed: AllowedHosts): boolean {
  const { headers, raw, protocol, server: { server } } = request
  const host = (headers.host ?? headers[':authority'] as string | undefined)?.toLowerCase()
  if (host === undefined || allowed === '*' || socketOf(raw)?.remotePort === undefined) return true
  const [name, port] = splitHost(host)
  if (allowed === 'loopback') return !listensOnLoopback(server) || LOOPBACK_NAME.test(name)
  return allowed.includes(name) || allowed.includes(`${name}:${port ?? DEFAULT_PORT[protocol]}`)
}

// The port follows the last colon, unless that colon is inside the brackets of an IPv6 address.
function splitHost (host: string): [name: string, port: string | undefined] {
  const [, name, port] = /^(.*?)(?::(\d+))?$/s.exec(host)!
  return [name!, port]
}

function listensOnLoopback (server: Pick<Server, 'address'>): boolean {
  // `null` once the server is closing.
  const { address } = Object(server.address()) as Partial<AddressInfo>
  return LOOPBACK_ADDRESS.test(String(address))
}
