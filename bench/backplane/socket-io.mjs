// Socket.IO as the measured server, with one of its adapters for Redis and one room for each name
// and one for everybody.
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { createAdapter as createPubSubAdapter } from '@socket.io/redis-adapter'
import { createAdapter as createStreamsAdapter } from '@socket.io/redis-streams-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'

const ADAPTERS = {
  socketIoStreams: (client) => createStreamsAdapter(client),
  socketIoPubSub: (client) => createPubSubAdapter(client, client.duplicate())
}
const FRAME_BYTES = '42["mission_update",]'.length

/** An object whose JSON has `bytes` bytes. Each call returns a different one, like a real message. */
const makePayload = (bytes) => {
  const payload = { id: randomUUID(), unix: Date.now(), text: '' }
  payload.text = 'x'.repeat(Math.max(0, bytes - JSON.stringify(payload).length))
  return payload
}

/** Returns its port and `act`, what the steps of missions do: each is a message of `bytes` bytes. */
export async function open ({ kind, redisUrl, bytes }) {
  const http = createServer()
  const io = new Server(http, {
    transports: ['websocket'],
    serveClient: false,
    pingInterval: 3_600_000,
    pingTimeout: 3_600_000,
    adapter: ADAPTERS[kind](new Redis(redisUrl))
  })
  io.on('connection', (socket) => socket.join([socket.handshake.query.name, 'all']))
  await new Promise((resolve) => http.listen(0, '127.0.0.1', 4_096, resolve))
  const emit = ({ room }) => io.to(room).emit('mission_update', makePayload(bytes - FRAME_BYTES))
  const act = { start: emit, plan: emit, execute: emit, progress: emit, complete: emit }
  return { port: http.address().port, act }
}
