/** The part of a request that has a token. */
interface TokenCarrier { readonly headers: Readonly<Record<string, string | string[] | undefined>> }

/**
 * The token of a request: `Authorization: Bearer <token>`, or the subprotocol after `bearer` of a WebSocket upgrade, as
 * the client library sends it, because browsers cannot set headers. `undefined` if there is none.
 */
export function bearerToken ({ headers }: TokenCarrier): string | undefined {
  const authorization = /^bearer +(\S+) *$/i.exec(String(headers['authorization'] ?? ''))?.[1]
  if (authorization !== undefined) return authorization
  const [marker, token] = String(headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim())
  return marker?.toLowerCase() === 'bearer' && token !== '' ? token : undefined
}
