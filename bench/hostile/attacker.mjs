// The attackers' process: runs one attack at a time and replies with its result.
import { frame, open, openTcp, sleep, text, write } from './wire.mjs'

const BATCH = 500
const FLOODS = {
  pings: text({ type: 'ping' }),
  'bad frames': text('{'),
  'ping frames': frame(9, 'p'),
  'pong frames': frame(10, 'p')
}

const held = []

const count = (counts, key) => { counts[key] = (counts[key] ?? 0) + 1 }

const attacks = {
  /** Sends frames as fast as possible over `connections`, and reconnects after each disconnect. */
  async flood ({ port, kind, frames, connections = 10 }) {
    const batch = Buffer.concat(Array.from({ length: BATCH }, () => FLOODS[kind]))
    const closes = {}
    await Promise.all(Array.from({ length: connections }, async () => {
      for (let left = frames / connections; left > 0;) {
        const peer = await open(port)
        for (; left > 0 && !peer.socket.destroyed && !peer.socket.writableEnded; left -= BATCH) {
          await write(peer.socket, batch)
          await sleep(0)
        }
        await Promise.race([peer.ended, sleep(5_000)])
        count(closes, peer.closeCode ?? 'none')
        peer.socket.destroy()
      }
    }))
    return { closes }
  },

  /**
   * Clients that subscribe and then never read, and reconnect after each disconnect. With `togglesPerSecond` the server
   * has replies of its own for each client.
   */
  async mute ({ port, connections, channel, durationMs, togglesPerSecond = 0 }) {
    const endAt = Date.now() + durationMs
    let returns = -connections
    const channels = [channel]
    const toggle = Buffer.concat([text({ type: 'unsubscribe', channels }), text({ type: 'subscribe', channels })])
    await Promise.all(Array.from({ length: connections }, async () => {
      while (Date.now() < endAt) {
        const { socket } = await open(port)
        returns++
        socket.pause()
        socket.write(text({ type: 'subscribe', channels: [channel] }))
        while (Date.now() < endAt && !socket.destroyed) {
          await sleep(togglesPerSecond === 0 ? 500 : 1_000 / togglesPerSecond)
          socket.write(togglesPerSecond === 0 ? frame(10) : toggle)
        }
        socket.destroy()
      }
    }))
    return { returns }
  },

  /** Clients that stay connected and never read. */
  async freeze ({ port, connections, channel }) {
    for (let at = 0; at < connections; at++) {
      const peer = await open(port)
      peer.socket.pause()
      peer.socket.write(text({ type: 'subscribe', channels: [channel] }))
      held.push(peer)
    }
  },

  /** Messages without a final fragment, in fragments of `bytes` bytes. */
  async unfinished ({ port, connections, fragments, bytes }) {
    const first = frame(1, 'x'.repeat(bytes), false)
    const more = frame(0, 'x'.repeat(bytes), false)
    let sentBytes = 0
    for (let at = 0; at < connections; at++) {
      const peer = await open(port)
      await write(peer.socket, Buffer.concat([first, ...Array.from({ length: fragments - 1 }, () => more)]))
      sentBytes += first.length + (fragments - 1) * more.length
      held.push(peer)
    }
    await sleep(1_000)
    const closes = {}
    for (const { closeCode } of held) count(closes, closeCode ?? 'none')
    return { sentBytes, closes }
  },

  /** Concurrent upgrades. Accepted connections stay open. */
  async connects ({ port, total, atOnce }) {
    const statuses = {}
    let started = 0
    await Promise.all(Array.from({ length: atOnce }, async () => {
      while (started < total) {
        started++
        const peer = await open(port)
        count(statuses, peer.status)
        if (peer.status === 101) held.push(peer)
        else peer.socket.destroy()
      }
    }))
    return { statuses }
  },

  /** Handshakes that send one byte every 200 ms. */
  async drip ({ port, connections, durationMs }) {
    const request = 'GET /ws/mission-control HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: '
    const sockets = await Promise.all(Array.from({ length: connections }, () => openTcp(port)))
    for (const socket of sockets) socket.write(request)
    const endAt = Date.now() + durationMs
    while (Date.now() < endAt) {
      await sleep(200)
      for (const socket of sockets) if (!socket.destroyed) socket.write('x')
    }
    for (const socket of sockets) socket.destroy()
  },

  /** One message, in base64 because IPC uses JSON. Returns the bytes in both directions and the close code, if any. */
  async single ({ port, bytes, waitMs = 200 }) {
    const peer = await open(port)
    const message = Buffer.from(bytes, 'base64')
    await write(peer.socket, message)
    await Promise.race([peer.ended, sleep(waitMs)])
    peer.socket.destroy()
    return { bytesOut: message.length, bytesIn: peer.bytesIn, closeCode: peer.closeCode }
  },

  /**
   * Clients that send `perSecond` of these messages each, in turn, and read everything. Returns the bytes in both
   * directions and the close codes.
   */
  async ask ({ port, messages, connections = 1, perSecond, durationMs }) {
    const frames = messages.map(text)
    let bytesOut = 0
    const peers = await Promise.all(Array.from({ length: connections }, () => open(port)))
    await Promise.all(peers.map(async (peer) => {
      const startedAt = Date.now()
      for (let sent = 0; Date.now() < startedAt + durationMs && !peer.socket.destroyed;) {
        const due = Math.floor((Date.now() - startedAt) / 1_000 * perSecond)
        const batch = []
        for (; sent < due; sent++) batch.push(frames[sent % frames.length])
        bytesOut += Buffer.concat(batch).length
        await write(peer.socket, Buffer.concat(batch))
        await sleep(10)
      }
    }))
    const bytesIn = peers.reduce((sum, peer) => sum + peer.bytesIn, 0)
    for (const { socket } of peers) socket.destroy()
    return { bytesOut, bytesIn, closes: peers.flatMap(({ closeCode }) => closeCode ?? []) }
  },

  /** The clients of `freeze` read again, for `durationMs`. */
  async wake ({ durationMs }) {
    for (const { socket } of held) socket.resume()
    await sleep(durationMs)
    return { bytesIn: held.reduce((sum, { bytesIn }) => sum + bytesIn, 0) }
  },

  release () {
    for (const { socket } of held.splice(0)) socket.destroy()
  }
}

process.on('message', async ({ id, command, args = {} }) => {
  try {
    process.send({ id, result: await attacks[command](args) })
  } catch (err) {
    process.send({ id, error: String(err) })
  }
})
