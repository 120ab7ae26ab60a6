import type { IncomingMessage } from 'node:http'
import type { WebSocketServer } from 'ws'
import type { Encoding } from '../../hub/wire/message.js'

const HEADER = /^sec-websocket-extensions:\s*/i
/** The largest and the default window; zlib cannot deflate with 8 bits alone. */
const MAX_WINDOW_BITS = 15
const MIN_WINDOW_BITS = 9

/** How each connection of a WebSocket server wants its frames, read from the answer to its handshake. */
export class NegotiatedCompression {
  readonly #encodings = new WeakMap<IncomingMessage, Encoding>()

  constructor (server: Pick<WebSocketServer, 'on'>) {
    server.on('headers', (headers, request) => {
      const line = headers.find((header) => HEADER.test(header))
      if (line !== undefined) this.#encodings.set(request, encodingOf(line.replace(HEADER, '')))
    })
  }

  /** To be asked once for each connection, which then knows it itself. */
  of (request: IncomingMessage): Encoding {
    const encoding = this.#encodings.get(request) ?? 'plain'
    this.#encodings.delete(request)
    return encoding
  }
}

/**
 * The encoding that an accepted `Sec-WebSocket-Extensions` allows. A message compressed on its own can be read whether or not the context is
 * taken over, but ws, which may compress beside us, shares none with us: so only where the server takes none over.
 */
export function encodingOf (extensions: string): Encoding {
  const [name, ...parameters] = extensions.split(';').map((part) => part.trim())
  if (name !== 'permessage-deflate' || !parameters.includes('server_no_context_takeover')) return 'plain'
  const window = parameters.find((parameter) => parameter.startsWith('server_max_window_bits'))
  const bits = window === undefined ? MAX_WINDOW_BITS : Number(window.split('=')[1])
  return bits >= MIN_WINDOW_BITS && bits <= MAX_WINDOW_BITS ? bits : 'plain'
}
