import { performance } from 'node:perf_hooks'
import { once } from 'node:events'
import { WebSocket } from 'ws'

const EVERY_MS = 25

/** A well-behaved client that measures its ping times during an attack. It stays below all limits of the server. */
export async function startWitness (port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
  await once(socket, 'open')
  const sentAt = new Map()
  const tookMs = []
  let wasClosed = false
  let nextId = 0
  socket.on('message', (data) => {
    const { replyTo } = JSON.parse(data)
    if (!sentAt.has(replyTo)) return
    tookMs.push(performance.now() - sentAt.get(replyTo))
    sentAt.delete(replyTo)
  })
  socket.on('close', () => { wasClosed = true })
  socket.on('error', () => {})
  const timer = setInterval(() => {
    const id = String(nextId++)
    sentAt.set(id, performance.now())
    socket.send(JSON.stringify({ type: 'ping', id }))
  }, EVERY_MS)
  return {
    /** The median, the 99th percentile and the maximum of all pings. A ping without a reply counts with its age. */
    async end () {
      clearInterval(timer)
      await new Promise((resolve) => setTimeout(resolve, 100))
      const all = [...tookMs, ...[...sentAt.values()].map((at) => performance.now() - at)].sort((a, b) => a - b)
      const ended = wasClosed
      socket.terminate()
      const at = (share) => all[Math.ceil(all.length * share) - 1]
      return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: all.at(-1), count: all.length, wasClosed: ended }
    }
  }
}

/** Time for a new client to connect and to receive its first reply, in ms. */
export async function timeNewClient (port) {
  const startedMs = performance.now()
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
  await once(socket, 'open')
  socket.send('{"type":"whoami"}')
  await once(socket, 'message')
  const tookMs = performance.now() - startedMs
  socket.terminate()
  return tookMs
}
