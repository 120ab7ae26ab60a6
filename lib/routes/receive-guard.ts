import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

/** Frame headers of the most fragments one message may have, and what may lie in the reader's buffers when a message ends. */
const SLACK_BYTES = 256 * 14 + 2 * 65_536

/**
 * Holds one connection to `maxBytes` a message where the WebSocket server is the host's and allows more: counts what arrives since the
 * last complete message, since ws tells of a message only when it has all of it in memory. Calls `onExceeded` once.
 */
export function guardReceivedBytes (websocket: WebSocket, stream: Duplex, maxBytes: number, onExceeded: () => void): void {
  let pendingBytes = 0
  const settle = () => { pendingBytes = 0 }
  const count = (chunk: Buffer) => { pendingBytes += chunk.length }
  const check = () => {
    if (pendingBytes <= maxBytes + SLACK_BYTES) return
    stream.off('data', count)
    stream.off('data', check)
    onExceeded()
  }
  // Counted before ws reads the chunk and checked after: a chunk full of small messages is no large message.
  stream.prependListener('data', count)
  stream.on('data', check)
  for (const event of ['message', 'ping', 'pong']) websocket.prependListener(event, settle)
}
