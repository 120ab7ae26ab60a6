import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'

/** One client frame as bytes (RFC 6455 §5.2). The mask is zero, which does not change the cost of unmasking. */
export function frame (opcode, payload = '', isFinal = true) {
  const body = Buffer.from(payload)
  const size = body.length
  const head = Buffer.alloc(size < 126 ? 6 : size < 65_536 ? 8 : 14)
  head[0] = (isFinal ? 0x80 : 0) | opcode
  head[1] = 0x80 | (size < 126 ? size : size < 65_536 ? 126 : 127)
  if (size >= 65_536) head.writeBigUInt64BE(BigInt(size), 2)
  else if (size >= 126) head.writeUInt16BE(size, 2)
  return Buffer.concat([head, body])
}

export const text = (message) => frame(1, typeof message === 'string' ? message : JSON.stringify(message))

const UPGRADE = (port) => [
  'GET /ws/mission-control HTTP/1.1',
  `Host: 127.0.0.1:${port}`,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, '', ''
].join('\r\n')

/** A TCP connection. An error ends it. */
export async function openTcp (port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => socket.destroy())
  await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve))
  return socket
}

/**
 * A WebSocket connection that counts received bytes without decoding them: `status` of the upgrade, `bytesIn`, and
 * `closeCode` after a close frame.
 */
export async function open (port) {
  const socket = await openTcp(port)
  const peer = { socket, status: 0, bytesIn: 0, closeCode: undefined, ended: undefined }
  peer.ended = new Promise((resolve) => socket.once('close', resolve))
  socket.on('end', () => socket.destroy())
  socket.write(UPGRADE(port))
  const first = await new Promise((resolve) => {
    socket.once('data', resolve).once('close', () => resolve(Buffer.alloc(0)))
  })
  peer.status = Number(first.toString('latin1').split(' ', 2)[1] ?? 0)
  socket.on('data', (chunk) => {
    peer.bytesIn += chunk.length
    const code = closeCodeIn(chunk)
    if (code === undefined) return
    peer.closeCode = code
    socket.end(frame(8, chunk.subarray(-2)))
  })
  return peer
}

// The close frame is the last frame, so it ends the last chunk: 0x88, its length, its code and a short reason.
function closeCodeIn (chunk) {
  for (let at = chunk.length - 4; at >= Math.max(0, chunk.length - 127); at--) {
    if (chunk[at] === 0x88 && chunk[at + 1] === chunk.length - at - 2) return chunk.readUInt16BE(at + 2)
  }
  return undefined
}

/** Writes, and waits for the buffer to drain if it is full. */
export async function write (socket, bytes) {
  if (socket.destroyed || socket.write(bytes)) return
  await new Promise((resolve) => socket.once('drain', resolve).once('close', resolve))
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
