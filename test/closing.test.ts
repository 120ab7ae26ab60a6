import { once } from 'node:events'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { closeInHooks } from '../lib/closing.js'
import missionControl, { type Mission } from '../lib/index.js'
import { boot } from './support/app.js'
import { connect, urlOf } from './support/client.js'
import { defer } from './support/missions.js'
import { RawClient } from './support/raw-client.js'

/** Work that never ends and ignores its signal. */
const stubborn = async () => { await new Promise(() => {}) }

/** Work that ends when its signal aborts. */
const obedient = async ({ signal }: Mission) => {
  if (!signal.aborted) await once(signal, 'abort')
  throw signal.reason
}

const nextTurn = () => new Promise<void>((resolve) => { setImmediate(resolve) })

t.test('a close takes at most closeGraceMs for the missions and 2 s for the clients', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, missions: { closeGraceMs: 60_000 } })
  const mute = (await RawClient.connect(app, { isMute: true })).freeze()
  const mission = app.missions.spawn('job', stubborn)
  let isClosed = false
  const closing = app.close().then(() => { isClosed = true })
  while (!mission.signal.aborted) await nextTurn()
  clock.advance(59_999)
  await nextTurn()
  t.equal(mission.isTerminal, false)
  clock.advance(1)
  t.match(mission.view(), { status: 'cancelled', cancel: { kind: 'shutdown', forced: true } })
  await nextTurn()
  clock.advance(1_999)
  await nextTurn()
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 1)
  t.equal(isClosed, false)
  clock.advance(1)
  await closing
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
  mute.socket.destroy()
})

t.test('a close ends although nobody moves the virtual clock, also with a WebSocket server of the host', async (t) => {
  const app = Fastify()
  await app.register(websocket)
  await app.register(missionControl, { clock: createVirtualClock(), missions: { closeGraceMs: 1 } })
  const mute = (await RawClient.connect(app, { isMute: true })).freeze()
  const mission = app.missions.spawn('job', stubborn)
  await app.close()
  t.match(mission.view(), { status: 'cancelled', cancel: { forced: true } })
  t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
  mute.socket.destroy()
})

t.test('a close may take longer than the pluginTimeout of Fastify', async (t) => {
  t.test('with the real Fastify', async (t) => {
    const app = await boot(t, { missions: { closeGraceMs: 1_100 } }, { pluginTimeout: 1_000 })
    const client = await connect(app)
    await client.subscribe('mission_update')
    const mission = app.missions.spawn('job', stubborn)
    await app.close()
    t.match(mission.view(), { status: 'cancelled', cancel: { forced: true } })
    t.ok(await client.next('mission_update', ({ payload }) => payload.status === 'cancelled'))
    t.same(await client.closed, { code: 1012, reason: 'server_restart' })
  })

  function hooksOf (pluginTimeout: number, closeGraceMs: number, close: () => Promise<void>): Array<() => Promise<void>> {
    const hooks: Array<() => Promise<void>> = []
    const app = { initialConfig: { pluginTimeout }, addHook: (_name: string, hook: () => Promise<void>) => hooks.push(hook) }
    closeInHooks(app as unknown as FastifyInstance, { closeGraceMs, close })
    return hooks
  }

  t.test('several hooks wait for one close, each for less than the timeout', async (t) => {
    t.equal(hooksOf(10_000, 5_000, stubborn).length, 1)
    t.equal(hooksOf(10_000, 6_999, stubborn).length, 1)
    t.equal(hooksOf(10_000, 7_000, stubborn).length, 2)
    t.equal(hooksOf(10_000, 60_000, stubborn).length, 7)
    t.equal(hooksOf(0, 2_147_483_647, stubborn).length, 1, 'no timeout')
    let closes = 0
    const closed = defer()
    const hooks = hooksOf(10, 25, async () => {
      closes++
      await closed.promise
    })
    await hooks[0]!()
    await hooks[1]!()
    const last = hooks[2]!()
    closed.resolve()
    await last
    t.equal(closes, 1)
  })

  t.test('what fails makes the close fail', async (t) => {
    const [hook] = hooksOf(10_000, 1, async () => { throw new Error('broken') })
    await t.rejects(hook!(), { message: 'broken' })
  })

  t.test('a time that would need more than 1,000 hooks is refused', async (t) => {
    const app = Fastify()
    await t.rejects(async () => await app.register(missionControl, { missions: { closeGraceMs: 9_000_000 } }), {
      code: 'FST_MC_INVALID_OPTION',
      message: /missions\.closeGraceMs is 9000000, too long for the option pluginTimeout of Fastify, 10000/
    })
    const patient = await boot(t, { missions: { closeGraceMs: 9_000_000 } }, { pluginTimeout: 0 })
    await patient.ready()
    await patient.close()
  })
})

t.test('clients are told before missions are waited for, and receive their endings before the close', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, missions: { closeGraceMs: 5_000 } })
  const client = await connect(app)
  const other = await connect(app)
  await client.subscribe('mission_update')
  app.missions.spawn({ id: 'obedient', name: 'job' }, obedient)
  app.missions.spawn({ id: 'stubborn', name: 'job' }, stubborn)
  const closing = app.close()
  t.equal((await client.next('server_draining')).payload.retryAfterMs, 5_000)
  t.equal((await other.next('server_draining')).payload.retryAfterMs, 5_500)
  t.equal(client.socket.readyState, client.socket.OPEN)
  await client.next('mission_update', ({ payload }) => payload.missionId === 'obedient' && payload.status === 'cancelled')
  t.equal(app.missions.get('stubborn')!.isTerminal, false)
  clock.advance(5_000)
  await client.next('mission_update', ({ payload }) => payload.missionId === 'stubborn' && payload.status === 'cancelled')
  t.same(await client.closed, { code: 1012, reason: 'server_restart' })
  await closing
  t.equal(client.received.filter(({ type }) => type === 'server_draining').length, 1)
})

t.test('clients are told once if the app closes during a drain', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock })
  const clients = await Promise.all(Array.from({ length: 150 }, async () => await connect(app)))
  app.missions.spawn('job', stubborn)
  const drained = app.missionControl.drain({ withinMs: 60_000 })
  await app.close()
  await drained
  for (const client of clients) {
    t.match(await client.closed, { code: 1012 })
    t.equal(client.received.filter(({ type }) => type === 'server_draining').length, 1)
  }
})

t.test('a service without active missions tells its clients to reconnect soon', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  app.missions.start('ended').complete()
  await app.close()
  t.equal((await client.next('server_draining')).payload.retryAfterMs, 0)
})

t.test('an injected WebSocket closes as fast as a real one', async (t) => {
  for (const order of ['before', 'after']) {
    for (const side of ['client', 'service']) {
      t.test(`closed by the ${side}, with @fastify/websocket registered ${order} the plugin`, async (t) => {
        const app = Fastify()
        if (order === 'before') await app.register(websocket)
        await app.register(missionControl)
        if (order === 'after') await app.register(websocket)
        await app.ready()
        const socket = await app.injectWS('/ws/mission-control')
        const closed = once(socket, 'close')
        const startedAt = performance.now()
        if (side === 'client') {
          socket.close(4000, 'bye')
          while (app.missionControl.wsMetrics().connectionsOpen > 0) await nextTurn()
        }
        await app.close()
        const [code, reason] = await closed as [number, Buffer]
        // Otherwise ws waits for 2 s, or for 30 s if its server is that of the host.
        t.ok(performance.now() - startedAt < 1_000)
        t.same([code, String(reason)], side === 'client' ? [4000, 'bye'] : [1012, 'server_restart'])
      })
    }
  }
})

t.test('an injected WebSocket may have an address', async (t) => {
  const app = Fastify()
  await app.register(websocket)
  let ip = ''
  await app.register(missionControl, { onRequest: async (request) => { ip = request.ip } })
  await app.ready()
  const socket = await app.injectWS('/ws/mission-control', { socket: { remoteAddress: '192.0.2.1' } } as object)
  t.equal(ip, '192.0.2.1')
  socket.send(JSON.stringify({ type: 'ping' }))
  t.match(JSON.parse(String((await once(socket, 'message'))[0])), { type: 'pong' })
  await app.close()
})

t.test('while the service closes', async (t) => {
  const scrape = async (url: string) => {
    const response = await fetch(url)
    return [response.status, /^oneagent_mission_cancelled (\d)$/m.exec(await response.text())?.[1]]
  }

  for (const return503OnClosing of [false, true]) {
    t.test(`the endings so far ${return503OnClosing ? 'cannot be scraped: Fastify answers' : 'can be scraped and probed'}`, async (t) => {
      const clock = createVirtualClock()
      const app = await boot(t, { clock, missions: { closeGraceMs: 5_000 } }, { return503OnClosing })
      const client = await connect(app)
      await client.subscribe('mission_update')
      app.missions.spawn('job', obedient)
      app.missions.spawn('job', stubborn)
      const origin = urlOf(app, '').replace('ws:', 'http:')
      const closing = app.close()
      await client.next('mission_update', ({ payload }) => payload.status === 'cancelled')
      t.same(await scrape(`${origin}/api/v1/metrics/prometheus`), return503OnClosing ? [503, undefined] : [200, '1'])
      t.equal((await fetch(`${origin}/health?probe=live`)).status, return503OnClosing ? 503 : 200)
      t.equal((await fetch(`${origin}/health?probe=ready`)).status, 503)
      clock.advance(5_000)
      await closing
      await t.rejects(fetch(origin), { cause: { code: 'ECONNREFUSED' } }, 'nothing listens any more')
    })
  }

  t.test('an onClose hook renders the metrics with all endings', async (t) => {
    const app = await boot(t)
    let metrics = ''
    app.addHook('onClose', async () => { metrics = (await app.missionControl.metrics.render()).body })
    app.missions.spawn('job', stubborn)
    await app.close()
    t.match(metrics, /^oneagent_mission_cancelled 1$/m)
  })
})
