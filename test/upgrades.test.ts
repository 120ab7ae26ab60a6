import type { AddressInfo, Socket } from 'node:net'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createVirtualClock, type VirtualClock } from '../lib/base/virtual-clock.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { closingSoon, uncaught } from './support/app.js'
import { connect, tryUpgrade } from './support/client.js'
import { parseExposition, valueOf } from './support/exposition-parser.js'
import { exchange, openTcp, RawClient, upgradeRequest } from './support/raw-client.js'

const turn = async () => { for (let at = 0; at < 5; at++) await new Promise<void>((resolve) => { setImmediate(resolve) }) }

const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const

/** A hook that hangs for requests with `x-hang`. `release` lets all of them continue, as `how` says. */
function hangingHook () {
  const waiting: Array<(how: (reply: FastifyReply) => unknown) => void> = []
  return {
    waiting,
    hook: async (request: FastifyRequest, reply: FastifyReply) => {
      if (request.headers['x-hang'] === undefined) return
      const how = await new Promise<(reply: FastifyReply) => unknown>((resolve) => waiting.push(resolve))
      return await how(reply)
    },
    release: (how: (reply: FastifyReply) => unknown) => { for (const resume of waiting.splice(0)) resume(how) }
  }
}

interface Stand { app: FastifyInstance, clock: VirtualClock }
interface StandOptions { prepare?: (app: FastifyInstance) => unknown, options?: MissionControlOptions, hasHostServer?: boolean }

async function serve (t: Test, { prepare = () => {}, options = {}, hasHostServer = false }: StandOptions = {}): Promise<Stand> {
  const app = Fastify()
  t.teardown(() => app.close())
  prepare(app)
  if (hasHostServer) {
    await app.register(websocket)
    app.get('/own', { websocket: true }, () => {})
  }
  const clock = createVirtualClock()
  await app.register(missionControl, closingSoon({ clock, ...options }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, clock }
}

const refused = async (app: FastifyInstance, reason: string): Promise<number> =>
  valueOf(parseExposition((await app.missionControl.metrics.render()).body, 'text'), 'mission_control_ws_refused_total', { reason })

const HANGING = { headers: ['X-Hang: 1'] }

async function hang (app: FastifyInstance, count: number): Promise<Socket[]> {
  return await Promise.all(Array.from({ length: count }, async () => {
    const socket = await openTcp(app)
    socket.write(upgradeRequest(HANGING))
    return socket
  }))
}

async function readAll (socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  socket.destroy()
  return text
}

t.test('an upgrade whose hooks hang', async (t) => {
  const later: Record<string, (reply: FastifyReply) => unknown> = {
    continues: () => {},
    rejects: () => { throw new Error('too late') },
    'sends a response': (reply) => reply.code(403).send({ error: 'no' }),
    'writes to the socket': (reply) => reply.raw.end('no')
  }
  for (const hasHostServer of [false, true]) {
    for (const name of HOOKS) {
      t.test(`is answered with 401 after 5 s: ${name}${hasHostServer ? ', on a WebSocket server of the host' : ''}`, async (t) => {
        const { hook, waiting, release } = hangingHook()
        const { app, clock } = await serve(t, { hasHostServer, prepare: (app) => app.addHook(name as 'onRequest', hook) })
        for (const [title, how] of Object.entries(later)) {
          const [socket] = await hang(app, 1)
          while (waiting.length === 0) await turn()
          clock.advance(4_999)
          await turn()
          t.equal(socket!.readableLength, 0, 'no answer before')
          clock.advance(1)
          const answer = await readAll(socket!)
          t.match(answer, /^HTTP\/1\.1 401 Unauthorized\r\n.*\r\nconnection: close\r\n\r\n\{"statusCode":401,"code":"FST_MC_UPGRADE_TIMEOUT".*\}$/s, title)
          t.strictSame(await uncaught(async () => {
            release(how)
            await turn()
          }), [], `a hook that ${title} later`)
        }
        t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
        t.equal(await refused(app, 'timeout'), 4)
        t.equal((await RawClient.connect(app)).status, 101)
      })
    }
  }

  t.test('counts against maxConnections; further upgrades get 503 at once', async (t) => {
    for (const prepare of [true, false]) {
      const { hook, waiting } = hangingHook()
      const limits = { websocket: { maxConnections: 10 } }
      const { app, clock } = await serve(t, prepare ? { prepare: (app) => app.addHook('onRequest', hook), options: limits } : { options: { ...limits, onRequest: hook } })
      const answers = (await hang(app, 200)).map(readAll)
      while (await refused(app, 'connections') < 190) await turn()
      t.equal(waiting.length, prepare ? 200 : 10, 'a hook of the plugin runs for those that wait only')
      t.equal(await tryUpgrade(app), 503)
      clock.advance(5_000)
      const statuses = (await Promise.all(answers)).map((answer) => answer.slice(9, 12))
      t.strictSame([statuses.filter((status) => status === '401').length, statuses.filter((status) => status === '503').length], [10, 190])
      for (let at = 0; at < 10; at++) t.equal((await RawClient.connect(app)).status, 101, 'their places are free again')
      t.equal(await tryUpgrade(app), 503)
    }
  })

  t.test('counts against the rate, unlike one that a hook refuses', async (t) => {
    const { hook, waiting } = hangingHook()
    const { app } = await serve(t, {
      options: {
        websocket: { maxConnectionsPerSecond: 5 },
        onRequest: [hook, async (request, reply) => { if (request.headers['x-bad'] !== undefined) await reply.code(401).send() }]
      }
    })
    for (let at = 0; at < 30; at++) t.equal(await tryUpgrade(app, { headers: { 'x-bad': '1' } }), 401)
    const sockets = await hang(app, 9)
    while (waiting.length < 9) await turn()
    t.equal((await RawClient.connect(app)).status, 101)
    t.match(await exchange(app, upgradeRequest()), /^HTTP\/1\.1 503 .*retry-after: 1\r/s)
    t.equal(await refused(app, 'rate'), 1)
    for (const socket of sockets) socket.destroy()
  })

  t.test('delays nobody, and beside another upgrade listener it is answered too', async (t) => {
    const { hook, waiting } = hangingHook()
    const { app, clock } = await serve(t, { prepare: (app) => app.addHook('onRequest', hook) })
    app.server.on('upgrade', () => {})
    const answers = (await hang(app, 200)).map(readAll)
    while (waiting.length < 200) await turn()
    const client = await connect(app)
    t.strictSame(await client.settle(), [])
    clock.advance(5_000)
    t.ok((await Promise.all(answers)).every((answer) => answer.startsWith('HTTP/1.1 401 ')))
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
  })

  t.test('and is injected is not admitted later', async (t) => {
    const { hook, waiting, release } = hangingHook()
    const { app, clock } = await serve(t, { hasHostServer: true, options: { onRequest: hook } })
    let isOpen = false
    app.injectWS('/ws/mission-control', { headers: { 'x-hang': '1' } }).then(() => { isOpen = true }, () => {})
    while (waiting.length === 0) await turn()
    clock.advance(5_000)
    t.equal(await refused(app, 'timeout'), 1)
    release(() => {})
    await turn()
    t.strictSame([isOpen, app.missionControl.wsMetrics().connectionsTotal], [false, 0])
  })

  t.test('is refused if the service is closing when they end', async (t) => {
    const { hook, waiting, release } = hangingHook()
    const { app } = await serve(t, { options: { onRequest: hook } })
    const [socket] = await hang(app, 1)
    while (waiting.length === 0) await turn()
    await app.missionControl.drain({ withinMs: 0 })
    release(() => {})
    t.match(await readAll(socket!), /^HTTP\/1\.1 503 /)
    t.equal(await refused(app, 'closing'), 1)
  })
})

t.test('a request that hangs in a hook of the host does not hold up the close', { timeout: 30_000 }, async (t) => {
  const requests: Record<string, string> = {
    'an upgrade': upgradeRequest(HANGING),
    'an upgrade to h2c': upgradeRequest(HANGING).replace('Upgrade: websocket', 'Upgrade: h2c'),
    'an upgrade to h2c of another route': upgradeRequest({ ...HANGING, path: '/health' }).replace('Upgrade: websocket', 'Upgrade: h2c'),
    'an upgrade of another route': upgradeRequest({ ...HANGING, path: '/health' }),
    'a plain request': 'GET /health HTTP/1.1\r\nHost: localhost\r\nX-Hang: 1\r\n\r\n',
    'a plain request to the WebSocket route': 'GET /ws/mission-control HTTP/1.1\r\nHost: localhost\r\nX-Hang: 1\r\n\r\n'
  }
  for (const hasHostServer of [false, true]) {
    for (const hasListener of [false, true]) {
      for (const [title, request] of Object.entries(requests)) {
        // Without a WebSocket server of the host, upgrades of other routes belong to the other listener.
        if (hasListener && !hasHostServer && title.endsWith('of another route')) continue
        const { hook, waiting } = hangingHook()
        const { app } = await serve(t, { hasHostServer, prepare: (app) => app.addHook('onRequest', hook) })
        if (hasListener) app.server.on('upgrade', () => {})
        const socket = await openTcp(app)
        socket.write(request)
        while (waiting.length === 0) await turn()
        await app.close()
        t.pass(`${title}${hasHostServer ? ', server of the host' : ''}${hasListener ? ', another listener' : ''}`)
        socket.destroy()
      }
    }
  }
})

t.test('a plain request that ended, or passed its hooks, is left alone when the service closes', async (t) => {
  const { hook, waiting } = hangingHook()
  const { app } = await serve(t, { prepare: (app) => app.addHook('onRequest', hook) })
  const socket = await openTcp(app)
  socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\nX-Hang: 1\r\n\r\n')
  while (waiting.length === 0) await turn()
  socket.destroy()
  const keepAlive = await openTcp(app)
  keepAlive.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n')
  while (!String(keepAlive.read() ?? '').startsWith('HTTP/1.1 200')) await turn()
  await app.close()
  keepAlive.destroy()
})

t.test('the subprotocol', async (t) => {
  const select = async (app: FastifyInstance, path: string, protocols: string[]): Promise<string | undefined> => {
    const { port } = app.server.address() as AddressInfo
    const headers = { 'sec-websocket-protocol': protocols.join(', ') }
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers })
    const answer = await new Promise<string | undefined>((resolve) => {
      socket.on('upgrade', (response) => resolve(response.headers['sec-websocket-protocol'] as string | undefined))
      socket.on('error', (err) => resolve(err.message))
    })
    socket.terminate()
    return answer
  }
  const offers: Array<[string[], string | undefined]> = [
    [['canary'], undefined], [['bearer', 'canary'], 'bearer'], [['canary', 'bearer'], 'bearer'], [['bearer'], 'bearer'],
    [['Bearer', 'canary'], undefined], [['canary', 'other'], undefined]
  ]
  for (const hasHostServer of [false, true]) {
    const { app } = await serve(t, { hasHostServer })
    for (const [offered, selected] of offers) t.equal(await select(app, '/ws/mission-control', offered), selected, offered.join())
    if (hasHostServer) t.equal(await select(app, '/own', ['chat', 'other']), 'chat', 'a route of the host is not affected')
  }

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(websocket, { options: { handleProtocols: () => 'chosen' } })
  await app.register(missionControl, closingSoon({}))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.equal(await select(app, '/ws/mission-control', ['bearer', 'chosen']), 'chosen', 'the host selects by itself')
})
