import type { IncomingMessage } from 'node:http'
import type { WebSocketServer } from 'ws'
import type { Encoding } from '../../hub/wire/message.js'

const HEADER = /^sec-websocket-extensions:\s*/i
/** The largest window is the default; zlib cannot deflate with the smallest one that the extension allows, 8 bits. */
const MAX_WINDOW_BITS = 15
const MIN_WINDOW_BITS = 9

/** The frame encoding of each connection of a WebSocket server, read from the response to its handshake. */
export class NegotiatedCompression {
  readonly #encodings = new WeakMap<IncomingMessage, Encoding>()

  constructor (server: Pick<WebSocketServer, 'on'>) {
    server.on('headers', (headers, request) => {
      const line = headers.find((header) => HEADER.test(header))
      if (line !== undefined) this.#encodings.set(request, encodingOf(line.replace(HEADER, '')))
    })
  }

  /** The encoding of one connection. Call it once per connection, because the entry is removed. */
  of (request: IncomingMessage): Encoding {
    const encoding = this.#encodings.get(request) ?? 'plain'
    this.#encodings.delete(request)
    return encoding
  }
}

/**
 * The encoding that an accepted `Sec-WebSocket-Extensions` allows. Frames compressed here share no context with frames
 * that ws compresses, so compression requires `server_no_context_takeover`.
 */
export function encodingOf (extensions: string): Encoding {
  const [name, ...parameters] = extensions.split(';').map((part) => part.trim())
  if (name !== 'permessage-deflate' || !parameters.includes('server_no_context_takeover')) return 'plain'
  const window = parameters.find((parameter) => parameter.startsWith('server_max_window_bits'))
  const bits = window === undefined ? MAX_WINDOW_BITS : Number(window.split('=')[1])
  return bits >= MIN_WINDOW_BITS && bits <= MAX_WINDOW_BITS ? bits : 'plain'
}
