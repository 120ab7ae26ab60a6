import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type AddressInfo } from 'node:net'
import websocket from '@fastify/websocket'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import missionControl, { type MissionControlOptions, type MissionUpdate } from '../lib/index.js'
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

t.test('the reply to mission_get alone has the times of statuses and tasks', async (t) => {
  const { app } = await setup(t)
  const { missions } = app
  const now = Date.UTC(2026, 5, 1)
  const mission = missions.start({ id: 'timed', name: 'job' })
  for (let index = 1; index <= 250; index++) {
    mission.progress({ taskId: `${'é'.repeat(200)} ${index}`, index, total: 250, status: 'running' })
  }
  const late = await connect(app)
  late.send({ type: 'subscribe', channels: ['mission_update'], filter: { missionIds: ['timed'] } })
  const snapshot = (await late.next('mission_update')).payload
  t.strictSame([snapshot.tasks, snapshot.tasksOmitted, snapshot.statusTimes], [undefined, undefined, undefined])
  late.send({ type: 'mission_get', id: 'q', missionId: 'timed' })
  const { tasks, tasksOmitted } = (await late.next('mission_update', ({ replyTo }) => replyTo === 'q')).payload
  t.match(tasks!.at(0), { index: 1, status: 'running', startedAt: now, endedAt: undefined })
  t.ok(JSON.stringify(tasks).length <= 33_000, 'the list is bounded')
  t.ok(tasks!.length > 90)
  t.equal(tasks!.length + tasksOmitted!, 250)
  mission.complete()
  late.send({ type: 'mission_get', id: 'r', missionId: 'timed' })
  const ended = (await late.next('mission_update', ({ replyTo }) => replyTo === 'r')).payload
  t.match(ended, { status: 'completed', tasks, statusTimes: [{}, { status: 'execution_progress' }, { status: 'completed' }] })
})

t.test('every channel name of a message gets one answer', async (t) => {
  const { client } = await setup(t, {
    websocket: { heartbeatMs: 1_000_000_000 },
    access: { identify: () => ({ id: 'ann' }), authorize: (_principal, { channel }) => channel !== 'health_delta' && channel !== 'anomaly_alert' }
  })
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

const payloadsOf = (messages: ReadonlyArray<{ type: string }>): MissionUpdate[] =>
  messages.flatMap((message) => message.type === 'mission_update' ? (message as { payload: MissionUpdate } & typeof message).payload : [])

t.test('runs that another system reports reach every surface', async (t) => {
  const url = '/mission-control/missions'
  const { app, client, clock } = await setup(t, { routes: { missions: url }, missions: { maxEnded: 100 } })
  await client.subscribe('mission_update')
  const { missions } = app
  const now = clock.now()
  const first = { id: 'run-1', name: 'build', tags: ['ci'], parentId: 'suite', queuedAt: now - 60_000, startedAt: now - 30_000 }
  missions.start({ ...first, tags: [...Array(11).fill('ci')] })
  missions.note('run-1', 'approved', { by: 'ann' })
  missions.report('run-1', 'cancelled', { kind: 'skipped', reason: 'no changes', by: 'bot', endedAt: now - 10_000 })
  clock.advance(5_000)
  missions.start({ id: 'run-1', name: 'build', attempt: 2 })
  missions.report('run-1', 'execution_progress', { progress: { index: 0, total: 4 } })
  missions.waiting('run-1', 'for approval')
  missions.note('run-1', 'second note')
  const received = await client.settle()
  const updates = payloadsOf(received)
  const times = received.filter(({ type }) => type === 'mission_update').map(({ unix }) => unix)

  t.test('as updates, whose messages have the time of their sending', async (t) => {
    t.match(updates, [
      { missionId: 'run-1', status: 'planning_started', seq: 1, parentId: 'suite', queuedAt: now - 60_000, startedAt: now - 30_000, tagsOmitted: 1 },
      { seq: 2, note: { text: 'approved', data: { by: 'ann' }, at: now } },
      {
        seq: 3,
        status: 'cancelled',
        endedAt: now - 10_000,
        durationMs: 20_000,
        cancel: { requested: true, kind: 'skipped', reason: 'no changes', by: 'bot' }
      },
      { seq: 4, status: 'planning_started', attempt: 2, parentId: 'suite', startedAt: now + 5_000 },
      { seq: 5, status: 'execution_progress', attempt: 2, progress: { taskId: 'mission', index: 1, total: 4, status: 'running', fraction: 0 } },
      { seq: 6, attempt: 2, waiting: 'for approval', note: { text: 'second note' } }
    ])
    t.strictSame(times, [now, now, now, ...Array(3).fill(now + 5_000)])
    t.ok(updates.every(({ notes, attempts }) => notes === undefined && attempts === undefined), 'histories are for snapshots')
  })

  const attempts = [{ attempt: 1, status: 'cancelled', durationMs: 20_000, cancel: { kind: 'skipped' }, error: null }]

  t.test('as a snapshot, and as the reply to mission_get', async (t) => {
    const shown = { attempt: 2, attempts, notes: [{ text: 'second note' }], parentId: 'suite', snapshot: true }
    const late = await connect(app)
    late.send({ type: 'subscribe', channels: ['mission_update'] })
    t.match((await late.next('mission_update')).payload, shown)
    late.send({ type: 'mission_get', id: 'q', missionId: 'run-1' })
    const { payload } = await late.next('mission_update', ({ replyTo }) => replyTo === 'q')
    t.match(payload, shown)
    t.match(payload.statusTimes, [{ status: 'planning_started', at: now + 5_000 }, { status: 'execution_progress', at: now + 5_000 }])
  })

  t.test('as kept endings', async (t) => {
    missions.report('other', 'cancelled', { kind: 'superseded', reason: 'newer commit' })
    missions.report('run-1', 'completed')
    const late = await connect(app)
    late.send({ type: 'subscribe', channels: ['mission_update'], endings: 5 })
    await late.next('subscription_ack')
    t.match(payloadsOf(await late.settle()), [{ missionId: 'other', cancel: { kind: 'superseded' } }, { missionId: 'run-1', status: 'completed', attempt: 2, attempts }])
  })

  t.test('over HTTP and in the metrics', async (t) => {
    t.match((await app.inject(`${url}/run-1`)).json(), { attempt: 2, attempts, tagsOmitted: 1, notes: [{ text: 'second note' }] })
    t.match((await app.inject(`${url}?parentId=suite`)).json().missions, [{ id: 'run-1', parentId: 'suite' }])
    const { body } = await app.inject('/api/v1/metrics/prometheus')
    t.match(body, 'mission_control_missions_cancelled_total{kind="skipped"} 1\n')
    t.match(body, 'mission_control_missions_cancelled_total{kind="superseded"} 1\n')
    t.match(body, 'mission_control_missions_cancelled_total{kind="client"} 0\n')
    t.match(body, 'mission_control_missions_texts_cut_total{field="tags"} 1\n')
    t.match(body, 'oneagent_mission_total 3\n')
  })
})

t.test('work runs although its mission cannot, which the log and the metrics tell', async (t) => {
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
  t.teardown(() => app.close())
  await app.register(missionControl, { missions: { maxActive: 1, closeGraceMs: 1 } })
  app.missions.start('other')
  const run = () => app.missions.run('job', ({ isTracked }) => isTracked)
  t.strictSame([await run(), await run()], [false, false])
  t.equal(await app.missions.run({ name: 'job', id: '' }, ({ isTracked }) => isTracked), false)
  const warnings = lines.map((line) => JSON.parse(line) as { msg: string, reason: string, err: { code: string } })
  t.match(warnings, [
    { msg: 'a function runs without a tracked mission', reason: 'full', err: { code: 'FST_MC_TOO_MANY_MISSIONS' } },
    { msg: 'a function runs without a tracked mission', reason: 'invalid', err: { code: 'FST_MC_INVALID_MISSION' } }
  ])
  t.equal(warnings.length, 2)
  const { body } = await app.inject('/api/v1/metrics/prometheus')
  t.match(body, 'mission_control_missions_untracked_total{reason="full"} 2\n')
  t.match(body, 'mission_control_missions_untracked_total{reason="invalid"} 1\n')
  t.equal(app.missions.stats().untracked, 3)
})
