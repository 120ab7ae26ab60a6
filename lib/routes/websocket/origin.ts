/** The parts of a request that matter for its origin: `host` with port, `protocol` with respect to `trustProxy`. */
export interface OriginRequest { origin: string | undefined, host: string, protocol: string }

/** An origin as browsers serialize it (RFC 6454 §6.2): one value in lower case, without path and user. */
const ORIGIN = /^(https?):\/\/([^/?#@\s,*]+)$/
type AllowedOrigins = 'same-origin' | '*' | readonly string[]

const DEFAULT_PORT: Record<string, string> = { http: ':80', https: ':443' }

/**
 * Whether a page of this origin may open a WebSocket. A request without an `Origin` does not come from a browser and is
 * allowed; the origin `null` is only allowed by `*`. `same-origin` compares host and port with those of the request; a
 * page without TLS may not connect to a host with TLS.
 */
export function isOriginAllowed ({ origin, host, protocol }: OriginRequest, allowed: AllowedOrigins): boolean {
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
