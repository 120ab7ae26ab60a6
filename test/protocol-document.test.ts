import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { connect, urlOf } from './support/client.js'
import { upgradeRequest } from './support/raw-client.js'

type Tap = Parameters<typeof boot>[0]

// A long heartbeat, because the clock may jump.
async function setup (t: Tap, options: MissionControlOptions = {}) {
  const clock = createVirtualClock(Date.UTC(2026, 5, 1))
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 }, ...options })
  return { clock, app, client: await connect(app) }
}

t.test('the error of a mission is text', async (t) => {
  const { app, client } = await setup(t)
  const failure = () => Object.assign(new Error('no space left'), { code: 'ENOSPC' })
  const shown = { status: 'error', error: 'no space left', errorCode: 'ENOSPC' }
  await client.subscribe('mission_update')

  t.test('in an update', async (t) => {
    app.missions.start({ id: 'a', name: 'job' }).fail(failure())
    t.match((await client.next('mission_update', ({ payload }) => payload.status === 'error')).payload, shown)
  })

  t.test('in the reply to mission_get', async (t) => {
    t.match((await client.send({ type: 'mission_get', id: 'q', missionId: 'a' }).next('mission_update', ({ replyTo }) => replyTo === 'q')).payload, shown)
  })

  t.test('in an ending that a client receives when it resumes', async (t) => {
    const since = { mission_update: { epoch: 'of an earlier process', offset: 3, id: 'x' } }
    const late = await connect(app)
    late.send({ type: 'subscribe', channels: ['mission_update'], since })
    t.match((await late.next('mission_update')).payload, { ...shown, snapshot: true })
  })

  t.test('and stays an object with a code and a message for the host', async (t) => {
    const mission = app.missions.start({ id: 'b', name: 'job' })
    mission.fail(failure())
    const error = { code: 'ENOSPC', message: 'no space left' }
    t.same(mission.view().error, error)
    t.same((await mission.done).error, error)
  })
})

t.test('every channel name of a message gets one answer', async (t) => {
  const authorize = ({ channel }: { channel: string }) => channel !== 'health_delta' && channel !== 'anomaly_alert'
  const { client } = await setup(t, { websocket: { heartbeatMs: 1_000_000_000, authorize: (_request, asked) => authorize(asked) } })
  const channels = ['nope', 'health_delta', 'mission_update', '', 'anomaly_alert', 'Mission_update', 'metrics_tick', 'nope']

  async function answersTo (type: 'subscribe' | 'unsubscribe') {
    const messages = await client.send({ type, id: type, channels }).settle()
    return messages.map((message) => {
      if (!('replyTo' in message)) return `no answer: ${message.type}`
      if (message.type === 'subscription_ack') return message.payload.channel
      return message.type === 'subscription_error' ? `${message.error.code} ${channels[message.error.position]}` : message.type
    })
  }

  t.test('when it subscribes', async (t) => {
    t.same(await answersTo('subscribe'), [
      'mission_update', 'metrics_tick', 'unknown_channel nope', 'unknown_channel ', 'unknown_channel Mission_update',
      'forbidden health_delta', 'forbidden anomaly_alert'
    ], 'a name that occurs twice counts once')
  })

  t.test('when it unsubscribes', async (t) => {
    t.same(await answersTo('unsubscribe'), [
      'health_delta', 'mission_update', 'anomaly_alert', 'metrics_tick',
      'unknown_channel nope', 'unknown_channel ', 'unknown_channel Mission_update'
    ])
  })

  t.test('and no answer repeats an unknown name', async (t) => {
    client.send({ type: 'subscribe', channels: ['canary'] })
    t.notMatch(JSON.stringify(await client.next('subscription_error')), 'canary')
  })
})

t.test('whoami has the name and the version of the service as text, and its limits', async (t) => {
  const app = await boot(t, { server: { name: 'imports', version: '1.4.0' }, websocket: { maxPayloadBytes: 4_096, maxMessagesPerSecond: 7 } })
  const client = await connect(app)
  const { server, payload } = await client.send({ type: 'whoami' }).next('whoami')
  t.same(server, { name: 'imports', version: '1.4.0' }, 'the envelope has both in an object')
  t.match(payload, { server: 'imports', version: '1.4.0', limits: { maxPayloadBytes: 4_096, maxMessagesPerSecond: 7 } })
  const health = (await app.inject('/health')).json()
  t.same([payload.server, payload.version], [health.server, health.version], 'as in the health route')
})

t.test('a plan or a list of tasks that follows its status reaches subscribers', async (t) => {
  const { app, client } = await setup(t)
  await client.subscribe('mission_update')
  const mission = app.missions.start('job')
  mission.planned()
  t.same(mission.planned({ steps: ['read', 'write'] }), { applied: true })
  t.match((await client.next('mission_update', ({ payload }) => payload.planningSession !== undefined)).payload, { status: 'planned', planningSession: { steps: ['read', 'write'] } })
})

t.test('a subscriber without a cursor receives no ending from before its subscription', async (t) => {
  const { app, client } = await setup(t)
  app.missions.start({ id: 'ended', name: 'job' }).complete()
  app.missions.start({ id: 'active', name: 'job' })
  const idsAfter = async (message: object) => (await client.send({ type: 'subscribe', channels: ['mission_update'], ...message }).settle())
    .flatMap((message) => message.type === 'mission_update' ? message.payload.missionId : message.type === 'protocol_error' ? message.error.code : [])

  t.test('unless it asks for it', async (t) => {
    t.same(await idsAfter({}), ['active'])
    await client.send({ type: 'unsubscribe', channels: ['mission_update'] }).settle()
    t.same(await idsAfter({ endings: 5 }), ['active', 'ended'])
  })

  t.test('a number of endings out of bounds, or without mission_update, makes the message invalid', async (t) => {
    for (const message of [{ endings: -1 }, { endings: 1_001 }, { endings: 1.5 }, { endings: '5' }, { channels: ['mission_stats'], endings: 5 }]) {
      t.same(await idsAfter(message), ['invalid_message'], JSON.stringify(message))
    }
  })
})

t.test('an upgrade over HTTP/1.0 is refused (RFC 6455 4.2.1), and the connection is closed', async (t) => {
  for (const [server, prepare] of [['its own', async () => {}], ['the host\'s', async (app: FastifyInstance) => { await app.register(websocket) }]] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    await prepare(app)
    await app.register(missionControl)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const socket = connectTcp((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(upgradeRequest().replace('HTTP/1.1', 'HTTP/1.0'))
    let answer = ''
    for await (const data of socket) answer += String(data)
    t.match(answer, /^HTTP\/1\.[01] 426 /, `with ${server} WebSocket server`)
    t.match(answer, 'FST_MC_UPGRADE_REQUIRED')
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
  }
})

t.test('426 names the protocol to upgrade to (RFC 9110 15.5.22)', async (t) => {
  const { app } = await setup(t)
  const response = await fetch(urlOf(app).replace('ws:', 'http:'))
  t.equal(response.status, 426)
  t.equal(response.headers.get('upgrade'), 'websocket')
  t.match(response.headers.get('connection'), /upgrade/)
})

t.test('426 over HTTP/2 has no Upgrade header, which HTTP/2 forbids', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(missionControl)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(urlOf(app as never).replace('ws:', 'http:'))
  t.teardown(() => session.close())
  const stream = session.request({ ':path': '/ws/mission-control' }).resume()
  const [headers] = await once(stream, 'response')
  t.equal(headers[':status'], 426)
  t.notOk('upgrade' in headers || 'connection' in headers)
})
