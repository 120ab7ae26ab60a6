// The compared servers. Each returns its port and `publish`, which sends one message to all of its clients. The servers
// other than the plugin take the message size in bytes.
import { createServer as createHttpServer } from 'node:http'
import { createServer as createNetServer } from 'node:net'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { Server as SocketIo } from 'socket.io'
import { WebSocketServer } from 'ws'
import missionControl from '../../dist/lib/index.js'

const STEPS = ['planning_started', 'tasks_generated', 'planned', 'execution_started', 'completed']
const LIMITS = { maxConnections: 100_000, maxConnectionsPerSecond: 1_000_000, heartbeatMs: 3_600_000 }

const ANY_PORT = { port: 0, host: '0.0.0.0', backlog: 4_096 }

const listen = (server) => new Promise((resolve) => {
  server.listen(ANY_PORT, () => resolve(server.address().port))
})

/** An object whose JSON has `bytes` bytes. Each call returns a different one, like a real message. */
const makePayload = (bytes) => {
  const payload = { id: randomUUID(), unix: Date.now(), text: '' }
  payload.text = 'x'.repeat(Math.max(0, bytes - JSON.stringify(payload).length))
  return payload
}

/** A text below 64 KiB as one unmasked frame (RFC 6455 §5.2). */
function toFrame (text) {
  const payload = Buffer.from(text)
  const { length } = payload
  const header = length < 126 ? [0x81, length] : [0x81, 126, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(header), payload])
}

async function openPlugin (websocket = {}, options = {}) {
  const app = Fastify()
  await app.register(missionControl, {
    ...options,
    server: { name: 'jobs', version: '1.0' },
    websocket: { ...LIMITS, ...websocket },
    channels: { missionStatsMs: 3_600_000 }
  })
  await app.listen(ANY_PORT)
  return app
}

const makePlan = (bytes) => bytes === 0 ? undefined : { text: randomUUID().repeat(bytes / 36) }

/** The plugin as a broadcaster, like the other servers: each publication is a prepared, reliable mission update. */
async function plugin ({ websocket, planBytes = 0 } = {}) {
  const app = await openPlugin(websocket)
  const planningSession = makePlan(planBytes)
  let seq = 0
  const publish = () => {
    const status = STEPS[seq % STEPS.length]
    const missionId = `m${seq}`
    app.missionControl.publish('mission_update', { missionId, status, name: 'nightly', seq: ++seq, planningSession })
  }
  return { port: app.server.address().port, publish }
}

/** The plugin with its missions: each publication is the next update of a mission, from its start to its end. */
async function missions ({ websocket } = {}) {
  const app = await openPlugin(websocket)
  let lives = 0
  let step = 0
  let id
  const publish = () => {
    if (step === 0) id = `m${++lives}`
    if (step === 0) app.missions.start({ id, name: 'nightly' })
    else app.missions.report(id, STEPS[step])
    step = (step + 1) % STEPS.length
  }
  return { port: app.server.address().port, publish }
}

/**
 * The plugin with one mission per audience: everybody, one tenant, many tenants, or clients that each follow one mission
 * by its name. Each publication is the next update of each mission, so that every client receives one.
 */
async function tenants ({ audiences: count, hasTenants }) {
  const identify = ({ query: { audience } }) => ({ id: 'bench', tenant: `tenant ${audience}` })
  const app = await openPlugin({}, hasTenants ? { access: { identify } } : {})
  const audiences = Array.from({ length: count }, (_, at) => hasTenants ? { tenant: `tenant ${at}` } : {})
  let lives = 0
  let step = 0
  const publish = () => {
    if (step === 0) lives++
    for (const [at, audience] of audiences.entries()) {
      const id = `m${lives}-${at}`
      if (step === 0) app.missions.start({ id, name: `nightly ${at}`, ...audience })
      else app.missions.report(id, STEPS[step])
    }
    step = (step + 1) % STEPS.length
  }
  return { port: app.server.address().port, publish }
}

async function pluginProgress () {
  const app = Fastify()
  await app.register(missionControl)
  await app.ready()
  let index = 0
  const publish = () => {
    const update = { missionId: 'm', name: 'm', seq: ++index, status: 'execution_started' }
    app.missionControl.publish('mission_update', update)
  }
  return { port: 0, publish }
}

async function socketIo () {
  const http = createHttpServer()
  const io = new SocketIo(http, {
    transports: ['websocket'],
    serveClient: false,
    pingInterval: 3_600_000,
    pingTimeout: 3_600_000
  })
  io.on('connection', (socket) => socket.join('missions'))
  const publish = (bytes) => io.to('missions').emit('mission_update', makePayload(bytes - 21))
  return { port: await listen(http), publish }
}

async function wsOnce ({ perMessageDeflate = false }) {
  const http = createHttpServer()
  const server = new WebSocketServer({ server: http, perMessageDeflate, backlog: 4_096 })
  const publish = (bytes) => {
    const text = JSON.stringify(makePayload(bytes))
    for (const client of server.clients) client.send(text)
  }
  const isBusy = () => [...server.clients].some((client) => client.bufferedAmount > 0)
  const rest = async () => { while (isBusy()) await sleep(5) }
  return { port: await listen(http), publish, rest }
}

async function wsEach () {
  const http = createHttpServer()
  const server = new WebSocketServer({ server: http, perMessageDeflate: false })
  const publish = (bytes) => {
    const payload = makePayload(bytes)
    for (const client of server.clients) client.send(JSON.stringify(payload))
  }
  return { port: await listen(http), publish }
}

/** Writes identical bytes to all sockets; if joined, with one write per tick. */
function writeTo (sockets, isJoined) {
  let frames = []
  const flush = () => {
    const joined = Buffer.concat(frames)
    frames = []
    for (const socket of sockets) socket.write(joined)
  }
  return (bytes) => {
    const frame = toFrame(JSON.stringify(makePayload(bytes)))
    if (!isJoined) for (const socket of sockets) socket.write(frame)
    else if (frames.push(frame) === 1) setImmediate(flush)
  }
}

function keep (sockets, socket) {
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket)).on('error', () => {}).resume()
}

/** The lower bound: plain sockets. */
const net = (isJoined) => async () => {
  const sockets = new Set()
  const server = createNetServer({ noDelay: true }, (socket) => keep(sockets, socket))
  return { port: await listen(server), publish: writeTo(sockets, isJoined) }
}

/** Plain sockets after an HTTP upgrade, like those of all other servers: Node's HTTP server adds state to a socket. */
const upgraded = (isJoined) => async () => {
  const sockets = new Set()
  const http = createHttpServer().on('upgrade', (request, socket) => {
    keep(sockets, socket)
    socket.setNoDelay().write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  })
  return { port: await listen(http), publish: writeTo(sockets, isJoined) }
}

export const SERVERS = {
  plugin,
  missions,
  tenants,
  pluginProgress,
  socketIo,
  wsOnce,
  wsEach,
  upgraded: upgraded(false),
  upgradedJoined: upgraded(true),
  net: net(false),
  netJoined: net(true)
}
