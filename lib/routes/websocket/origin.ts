/** What of an upgrade request its origin is held against: `host` with its port, `protocol` as the host's proxy settings see it. */
export interface OriginRequest { origin: string | undefined, host: string, protocol: string }

/** An origin as browsers serialise it (RFC 6454 §6.2): no path, no user, no upper case, one value. */
const ORIGIN = /^(https?):\/\/([^/?#@\s,*]+)$/
const DEFAULT_PORT: Record<string, string> = { http: ':80', https: ':443' }

/**
 * Whether a page of this origin may open a WebSocket. A request without an `Origin` is no browser's and passes; `null` never does.
 * `same-origin` compares host and port with the request's own; a page without TLS may not connect to a host with TLS.
 */
export function isOriginAllowed ({ origin, host, protocol }: OriginRequest, allowed: 'same-origin' | '*' | readonly string[]): boolean {
  if (origin === undefined || allowed === '*') return true
  if (allowed !== 'same-origin') return allowed.includes(origin)
  const [, scheme, authority] = ORIGIN.exec(origin) ?? []
  if (scheme === undefined || authority === undefined) return false
  if (protocol === 'https' && scheme !== 'https') return false
  return withoutDefaultPort(authority, scheme) === withoutDefaultPort(host.toLowerCase(), scheme)
}

function withoutDefaultPort (authority: string, scheme: string): string {
  const port = DEFAULT_PORT[scheme]!
  return authority.endsWith(port) ? authority.slice(0, -port.length) : authority
}
