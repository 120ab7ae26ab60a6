/** The part of a request that has a token. */
interface TokenCarrier {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly query?: unknown
}

/**
 * The token of a request: `Authorization: Bearer <token>`, or the subprotocol after `bearer` of a WebSocket upgrade, as
 * the client library sends it, because browsers cannot set headers. With the name of a query parameter, also its value.
 * `undefined` if there is none.
 */
export function bearerToken ({ headers, query }: TokenCarrier, queryToken?: string): string | undefined {
  const authorization = /^bearer +(\S+) *$/i.exec(String(headers['authorization'] ?? ''))?.[1]
  if (authorization !== undefined) return authorization
  const [marker, token] = String(headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())
  if (marker?.toLowerCase() === 'bearer' && token !== '') return token
  const value: unknown = queryToken === undefined ? undefined : Object(query)[queryToken]
  return typeof value === 'string' && value !== '' ? value : undefined
}
