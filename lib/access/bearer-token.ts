/** The part of a request that may contain a token. */
interface TokenCarrier {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly query?: unknown
}

/**
 * Returns the token of a request, or `undefined` if there is none: from `Authorization: Bearer <token>`, from the
 * subprotocols `bearer, <token>` of a WebSocket upgrade, or from the query parameter with the name `queryToken`. The
 * client library sends subprotocols, because browsers cannot set headers.
 */
export function bearerToken ({ headers, query }: TokenCarrier, queryToken?: string): string | undefined {
  const authorization = /^bearer +(\S+) *$/i.exec(String(headers['authorization'] ?? ''))?.[1]
  if (authorization !== undefined) return authorization
  const [marker, token] = String(headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())
  if (marker?.toLowerCase() === 'bearer' && token !== '') return token
  const value: unknown = queryToken === undefined ? undefined : Object(query)[queryToken]
  return typeof value === 'string' && value !== '' ? value : undefined
}
