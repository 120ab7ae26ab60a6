import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'

/** Frame headers of the most fragments one message may have, and what may lie in the reader's buffers when a message ends. */
const SLACK_BYTES = 256 * 14 + 2 * 65_536

/** Opcode, length and mask of a client's control frame (RFC 6455 §5.5: at most 125 bytes of payload). */
const CONTROL_HEADER_BYTES = 6

/**
 * Holds one connection to `maxBytes` a message where the WebSocket server is the host's and allows more: counts what arrives since the
 * last complete message, since ws tells of a message only when it has all of it in memory. Calls `onExceeded` once.
 */
export function guardReceivedBytes (websocket: WebSocket, stream: Duplex, maxBytes: number, onExceeded: () => void): void {
  let pendingBytes = 0
  const settle = () => { pendingBytes = 0 }
  // Control frames may come in the middle of a message: they are none of its bytes, but do not end it either.
  const takeOff = (payload: Buffer) => { pendingBytes = Math.max(0, pendingBytes - payload.length - CONTROL_HEADER_BYTES) }
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
  websocket.prependListener('message', settle)
  for (const event of ['ping', 'pong']) websocket.prependListener(event, takeOff)
}
