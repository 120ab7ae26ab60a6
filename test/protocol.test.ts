import t from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { CHANNEL_NAMES, type MissionQuery } from '../schemas/index.js'
import { boot } from './support/app.js'
import { connect, type Client } from './support/client.js'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

t.test('every server message has the complete envelope', async (t) => {
  const app = await boot(t, { server: { name: 'imports', version: '2.1.0' } })
  const client = await connect(app)
  const pong = await client.send({ type: 'ping' }).next('pong')
  t.match(pong, { protocolVersion: 1, type: 'pong', timestamp: ISO, server: { name: 'imports', version: '2.1.0' } })
  t.equal(pong.unix, Date.parse(pong.timestamp), 'both times are the same moment')
  t.notOk('payload' in pong || 'error' in pong || 'replyTo' in pong, 'a pong has neither payload nor error')
  const again = await client.send({ type: 'ping' }).next('pong')
  t.not(again.id, pong.id, 'every message has an id of its own')
})

t.test('a broadcast has the same id for all receivers', async (t) => {
  const app = await boot(t)
  const clients = await Promise.all([connect(app), connect(app), connect(app)])
  for (const client of clients) await client.subscribe('mission_update')
  app.missions.start('job')
  const ids = await Promise.all(clients.map(async (client) => (await client.next('mission_update')).id))
  t.equal(new Set(ids).size, 1)
})

t.test('a reply carries the id of its request as replyTo, if the request has an id', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  const messages = [
    [{ type: 'ping' }, 'pong'],
    [{ type: 'whoami' }, 'whoami'],
    [{ type: 'subscribe', channels: ['mission_update'] }, 'subscription_ack'],
    [{ type: 'unsubscribe', channels: ['mission_update'] }, 'subscription_ack'],
    [{ type: 'subscribe', channels: ['nope'] }, 'subscription_error'],
    [{ type: 'mission_start', command: 'go' }, 'protocol_error'],
    [{ type: 'mission_cancel', missionId: 'm' }, 'protocol_error'],
    [{ type: 'ping', surplus: true }, 'protocol_error'],
    [{ type: 'who' }, 'protocol_error']
  ] as const
  for (const [message, reply] of messages) {
    t.equal((await client.send({ ...message, id: 'q-1' }).next(reply)).replyTo, 'q-1', JSON.stringify(message))
    t.notOk('replyTo' in await client.send(message).next(reply))
  }
  t.equal((await client.send({ type: 'ping', id: '' }).next('pong')).replyTo, '')
  t.equal((await client.send({ type: 'ping', id: 'i'.repeat(128) }).next('pong')).replyTo, 'i'.repeat(128))
  const tooLong = await client.send({ type: 'ping', id: 'i'.repeat(129) }).next('protocol_error')
  t.equal(tooLong.error.code, 'invalid_message')
  t.notOk('replyTo' in tooLong)
})

t.test('a message that is not JSON gets invalid_json, and the connection stays open', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  const frames: Array<[string, string | Buffer]> = [
    ['text', 'hello'], ['nothing', ''], ['half', '{"type":"ping"'], ['binary', Buffer.from([0, 1, 2, 3])],
    ['binary that is not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])], ['binary, empty', Buffer.alloc(0)], ['two values', '{} {}'], ['a byte order mark', '\ufeff{}']
  ]
  for (const [title, frame] of frames) {
    const { error } = await client.send(frame as string).next('protocol_error')
    t.equal(error.code, 'invalid_json', title)
    t.notOk('detail' in error)
  }
  t.ok(await client.send(Buffer.from('{"type":"ping"}') as never).next('pong'), 'JSON in a binary frame is as good as in a text frame')
})

t.test('an invalid message gets up to three short reasons that repeat nothing of it', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  const messages: unknown[] = [
    null, true, 1, 'canary', [], ['canary'], {}, { type: null }, { type: 'canary' }, { type: ['ping'] }, { type: '__proto__' }, { type: 'constructor' },
    { type: 'ping', canary: 1 }, { type: 'ping', id: 1 }, { type: 'ping', channels: [] },
    { type: 'subscribe' }, { type: 'subscribe', channels: [] }, { type: 'subscribe', channels: 'canary' }, { type: 'subscribe', channels: [1] },
    { type: 'subscribe', channels: [['canary']] }, { type: 'subscribe', channels: { canary: 1 } }, { type: 'unsubscribe', channels: [] },
    { type: 'mission_start' }, { type: 'mission_start', command: '' }, { type: 'mission_start', command: { canary: 1 } },
    { type: 'mission_cancel' }, { type: 'mission_cancel', missionId: '' }, { type: 'mission_cancel', missionId: 'canary'.repeat(45) },
    { type: 'whoami', ['canary'.repeat(100)]: 1 }
  ]
  for (const message of messages) {
    const { error } = await client.send(JSON.stringify(message)).next('protocol_error')
    t.equal(error.code, 'invalid_message', JSON.stringify(message))
    t.ok(error.detail!.length >= 1 && error.detail!.length <= 3 && error.detail!.every((reason) => reason.length <= 128))
    t.notMatch(JSON.stringify(error), /canary/)
  }
  const proto = await client.send('{"type":"ping","__proto__":{"polluted":true}}').next('protocol_error')
  t.equal(proto.error.code, 'invalid_message')
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  t.ok(await client.send({ type: 'ping' }).next('pong'), 'the connection stays')
})

t.test('the last of several duplicate keys counts', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  t.ok(await client.send('{"type":"whoami","type":"ping"}').next('pong'))
})

t.test('subscribe', async (t) => {
  t.test('acknowledges and counts each channel once, no matter how often it is listed', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    client.send({ type: 'subscribe', channels: ['mission_update', 'mission_update', 'metrics_tick'] })
    client.send({ type: 'subscribe', channels: ['mission_update'] })
    const acks = (await client.settle()).map((message) => message.type === 'subscription_ack' && message.payload)
    t.match(acks, ['mission_update', 'metrics_tick'].map((channel) => ({ channel, status: 'subscribed', outcome: 'fresh', messages: 0 })))
    t.same(acks[2], { channel: 'mission_update', status: 'subscribed' }, 'for what it has already')
    const metrics = app.missionControl.wsMetrics()
    t.equal(metrics.subscriptionsTotal, 2)
    t.equal(metrics.channels.find(({ channel }) => channel === 'mission_update')!.count, 1)
    app.missions.start('job')
    t.equal((await client.settle()).length, 1, 'and sends each message once')
  })

  t.test('accepts every documented channel', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    await client.subscribe(...CHANNEL_NAMES)
    t.same(app.missionControl.wsMetrics().channels, CHANNEL_NAMES.map((channel) => ({ channel, count: 1 })))
  })

  t.test('sends a snapshot right after the ack of its channel, once', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    client.send({ type: 'subscribe', channels: ['mission_stats', 'health_delta', 'mission_update'] })
    client.send({ type: 'subscribe', channels: ['mission_stats'] })
    const types = (await client.settle()).map((message) => message.type === 'subscription_ack' ? message.payload.channel : message.type)
    t.same(types, ['mission_stats', 'mission_stats', 'health_delta', 'health_delta', 'mission_update', 'mission_stats'])
  })

  t.test('reports each unknown channel by its position in the list, and subscribes to the others', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    const near = ['Mission_stats', ' mission_stats', 'mission_stats ', 'mission', '__proto__', 'constructor', 'toString', '']
    client.send({ type: 'subscribe', channels: ['nope', 'metrics_tick', ...near] })
    const [ack, ...errors] = await client.settle()
    t.match(ack, { type: 'subscription_ack', payload: { channel: 'metrics_tick', status: 'subscribed' } })
    t.match(errors, [0, 2, 3, 4, 5, 6, 7, 8, 9].map((position) => ({ type: 'subscription_error', error: { code: 'unknown_channel', position } })))
    t.notMatch(JSON.stringify(errors), 'nope')
  })

  t.test('refuses every number that is not a whole one within its bounds', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    const cursor = (offset: string) => `"since":{"mission_update":{"epoch":"e","id":"i","offset":${offset}}}`
    for (const number of ['1e400', '-1e400', '-1', '1.5', '0.1', '"1"', '"Infinity"', '"NaN"', 'null', 'true']) {
      for (const field of [`"endings":${number}`, cursor(number), `"id":${number === '"1"' ? '1' : number.replaceAll('"', '')}`]) {
        const { error } = await client.send(`{"type":"subscribe","channels":["mission_update"],${field}}`).next('protocol_error')
        t.equal(error.code, /:(NaN|Infinity)/.test(field) ? 'invalid_json' : 'invalid_message', field)
      }
    }
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 0)
  })

  t.test('accepts 64 names in one message, and refuses a message with more as a whole', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    for (const type of ['subscribe', 'unsubscribe']) {
      const { error } = await client.send({ type, channels: ['mission_update', ...Array(64).fill('x')] }).next('protocol_error')
      t.equal(error.code, 'invalid_message')
    }
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 0)
    client.send({ type: 'subscribe', channels: ['mission_update', ...Array.from({ length: 63 }, (_, at) => `x${at}`)] })
    t.equal((await client.settle()).filter((message) => message.type === 'subscription_error').length, 63)
    t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 1)
  })
})

t.test('after unsubscribe no message of the channel follows, and the counts decrease', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  await client.subscribe('mission_update', 'mission_stats')
  client.send({ type: 'unsubscribe', channels: ['mission_update', 'metrics_tick', 'nope'] })
  t.same((await client.next('subscription_ack')).payload, { channel: 'mission_update', status: 'unsubscribed' })
  t.same((await client.next('subscription_ack')).payload, { channel: 'metrics_tick', status: 'unsubscribed' }, 'also where there was no subscription')
  t.same((await client.next('subscription_error')).error.position, 2)
  await client.settle()
  app.missions.start('job')
  t.same(await client.settle(), [])
  const count = (name: string) => app.missionControl.wsMetrics().channels.find(({ channel }) => channel === name)!.count
  t.same([count('mission_update'), count('mission_stats')], [0, 1])
  await client.close()
  await new Promise((resolve) => setImmediate(resolve))
  const after = await connect(app)
  t.equal(count('mission_stats'), 0, 'a closed connection counts no more')
  t.equal(app.missionControl.wsMetrics().subscriptionsTotal, 2, 'the total stays')
  await after.close()
})

t.test('whoami returns the server, its channels and its capabilities', async (t) => {
  const app = await boot(t, { server: { name: 'imports', version: '2.1.0' } })
  const client = await connect(app)
  t.same((await client.send({ type: 'whoami' }).next('whoami')).payload,
    { server: 'imports', version: '2.1.0', channels: CHANNEL_NAMES, capabilities: [], limits: { maxPayloadBytes: 16_384, maxMessagesPerSecond: 50 } })
  app.missions.handle({ start: { start: () => app.missions.start('x') } })
  t.same((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities, ['mission_start'])
  app.missions.handle({ start: { start: () => app.missions.start('x') }, cancel: {} })
  t.same((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities, ['mission_start', 'mission_cancel'])
})

t.test('mission_list pages through active and ended missions, and searches what they failed with', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  app.missions.start({ id: 'a', name: 'import', tags: ['Nightly'] }).fail(new Error('Disk is FULL'))
  app.missions.start({ id: 'b', name: 'import' }).complete()
  app.missions.start({ id: 'c', name: 'export' })
  const list = async (query?: MissionQuery) => (await client.send({ type: 'mission_list', id: 'q', ...query && { query } }).next('mission_list')).payload
  t.same((await list()).missions.map(({ id, status }) => [id, status]), [['c', 'planning_started'], ['b', 'completed'], ['a', 'error']])
  const first = await list({ limit: 2 })
  t.same(first.missions.map(({ id }) => id), ['c', 'b'])
  t.same(await list({ limit: 2, cursor: first.nextCursor! }).then(({ missions, nextCursor }) => [missions.map(({ id }) => id), nextCursor]), [['a'], null])
  for (const q of ['disk is full', 'nightly', 'A']) t.ok((await list({ q })).missions.some(({ id }) => id === 'a'), q)
  t.same((await list({ q: 'nothing' })).missions, [])
  t.equal((await client.send({ type: 'mission_list', query: { limit: 201 } }).next('protocol_error')).error.code, 'invalid_message')
})

t.test('lists and histories are limited for each connection and for each user', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000, maxMessagesPerSecond: 10_000 } })
  app.missions.start({ name: 'import' })
  const client = await connect(app)
  /** The kinds of the answers to these requests, in their order. */
  const ask = async (peer: Client, count: number, request: object) => {
    for (let i = 0; i < count; i++) peer.send({ id: String(i), ...request })
    const answers = (await peer.settle()).filter((message) => 'replyTo' in message)
    t.strictSame(answers.map((message) => 'replyTo' in message && message.replyTo), answers.map((_, at) => String(at)), 'in the order of the requests')
    return answers.map((message) => message.type === 'protocol_error' ? `${message.error.code} ${message.error.retryAfterMs}` : message.type)
  }
  const tally = (answers: string[]) => answers.reduce<Record<string, number>>((counts, answer) => ({ ...counts, [answer]: (counts[answer] ?? 0) + 1 }), {})
  const whole = { type: 'mission_list', query: { limit: 200 } }
  t.strictSame(tally(await ask(client, 65, whole)), { mission_list: 60, 'too_many_requests 1000': 5 })
  t.strictSame(tally(await ask(client, 1, { type: 'anomaly_history' })), { 'too_many_requests 1000': 1 })
  clock.advance(1_000)
  t.strictSame(tally(await ask(client, 5, { type: 'mission_list' })), { mission_list: 4, 'too_many_requests 1000': 1 }, 'a small page is a quarter')
  clock.advance(1_000)
  t.strictSame(tally(await ask(client, 5, { type: 'anomaly_history' })), { anomaly_history: 4, 'too_many_requests 1000': 1 })
  // All of them have one address.
  const others = await Promise.all(Array.from({ length: 9 }, async () => await connect(app)))
  const answers = []
  for (const other of others) answers.push(...await ask(other, 60, whole))
  const shared = tally(answers)['mission_list']!
  t.ok(shared > 480 && shared < 540, `${shared} lists for nine connections`)
  t.match(answers.at(-1), /^too_many_requests \d+$/)
})

t.test('a client that sends too many requests for lists is closed as for any other message', async (t) => {
  const app = await boot(t)
  app.missions.start({ name: 'import' })
  const client = await connect(app)
  for (let i = 0; i < 400; i++) client.send({ type: 'mission_list', query: { limit: 200 } })
  t.equal((await client.next('protocol_error', ({ error }) => error.code === 'rate_limited')).error.code, 'rate_limited')
  t.equal((await client.closed).code, 1008)
})

t.test('mission_list is refused to a client that may not read older messages', async (t) => {
  const identify = () => ({ id: 'ann' })
  const app = await boot(t, { access: { identify, authorize: (_principal, { action }) => action !== 'replay' } })
  const client = await connect(app)
  t.equal((await client.send({ type: 'mission_list' }).next('protocol_error')).error.code, 'forbidden')
})

t.test('mission_start', async (t) => {
  t.test('is acknowledged before the first update of its mission, however fast the mission is', async (t) => {
    const app = await boot(t)
    const watcher = await connect(app)
    const client = await connect(app)
    await Promise.all([watcher.subscribe('mission_update'), client.subscribe('mission_update')])
    app.missions.handle({
      start: {
        async start (command) {
          const mission = app.missions.start({ name: command })
          mission.executionStarted()
          await new Promise((resolve) => setImmediate(resolve))
          mission.complete()
          return mission
        }
      }
    })
    const ack = await client.send({ type: 'mission_start', command: 'nightly', id: 'c1' }).next('mission_ack')
    t.match(ack, { replyTo: 'c1', payload: { status: 'accepted' } })
    t.notOk('action' in ack.payload)
    const order = (await client.settle()).map((message) => message.type === 'mission_update' ? message.payload.status : message.type)
    t.same(order, ['planning_started', 'execution_started', 'completed'])
    t.same(client.received.map(({ type }) => type).slice(0, 3), ['subscription_ack', 'mission_ack', 'mission_update'])
    t.equal((await watcher.next('mission_update')).payload.missionId, ack.payload.missionId, 'others see the mission too')
  })

  t.test('holds back only the updates of missions that its own handler started', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    await client.subscribe('mission_update')
    const other = app.missions.start({ id: 'other', name: 'other' })
    let release = () => {}
    app.missions.handle({ start: { start: () => new Promise((resolve) => { release = () => resolve(app.missions.start('slow')) }) } })
    client.send({ type: 'mission_start', command: 'go' })
    await client.settle()
    other.complete()
    t.equal((await client.next('mission_update')).payload.missionId, 'other')
    release()
    t.ok(await client.next('mission_ack'))
    t.equal((await client.next('mission_update')).payload.name, 'slow')
  })

  t.test('gets an error code if the handler is missing, denies, throws, rejects, returns garbage or hangs', async (t) => {
    const clock = createVirtualClock()
    const app = await boot(t, { clock, websocket: { heartbeatMs: 1_000_000_000 } })
    const client = await connect(app)
    const answer = async () => (await client.send({ type: 'mission_start', command: 'canary' }).next('protocol_error')).error
    t.equal((await answer()).code, 'unsupported')
    const start = () => app.missions.start('x')
    app.missions.handle({ start: { start, authorize: () => false } })
    t.equal((await answer()).code, 'forbidden')
    app.missions.handle({ start: { start, authorize: (() => 'yes') as never } })
    t.equal((await answer()).code, 'forbidden', 'only true lets a client in')
    app.missions.handle({ start: { start, authorize: async () => { throw new Error('canary') } } })
    t.equal((await answer()).code, 'internal_error')
    for (const garbage of [() => undefined, () => 'text', () => null, () => ({ id: 'nobody' }), () => { throw new Error('canary') }, async () => { throw new Error('canary') }, () => ({ get id () { throw new Error('canary') } })]) {
      clock.advance(60_000)
      app.missions.handle({ start: { start: garbage as never } })
      const error = await answer()
      t.equal(error.code, 'internal_error')
      t.notMatch(JSON.stringify(error), 'canary')
    }
    let asked = () => {}
    const isAsked = new Promise<void>((resolve) => { asked = resolve })
    app.missions.handle({ start: { start: () => new Promise(() => asked()) } })
    client.send({ type: 'mission_start', command: 'x' })
    await isAsked
    clock.advance(10_000)
    t.equal((await client.next('protocol_error')).error.code, 'internal_error')
    t.equal(app.missions.stats().total, 0)
  })

  t.test('passes the command and the request of the connection to the handler', async (t) => {
    const app = await boot(t)
    const client = await connect(app, { headers: { 'x-user': 'ann' } })
    const seen: unknown[] = []
    app.missions.handle({
      start: {
        authorize: (command, { request, connectionId }) => {
          seen.push(command, (request as { headers: Record<string, string> }).headers['x-user'], typeof connectionId)
          return true
        },
        start: () => app.missions.start('x')
      }
    })
    await client.send({ type: 'mission_start', command: '/deploy' }).next('mission_ack')
    t.same(seen, ['/deploy', 'ann', 'string'])
  })

  t.test('refuses invalid handlers', async (t) => {
    const app = await boot(t)
    for (const handlers of [{ start: {} }, { start: { start: 'x' } }, { start: { start () {}, authorize: true } }, { cancel: { authorize: 1 } }]) {
      t.throws(() => app.missions.handle(handlers as never), { code: 'FST_MC_INVALID_HANDLER' })
    }
  })
})

t.test('mission_cancel', async (t) => {
  t.test('is acknowledged for every mission that the client may see, no matter who started it and in which status', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    app.missions.handle({ cancel: {} })
    for (const phase of ['planning_started', 'planned', 'execution_progress', 'completed'] as const) {
      const mission = app.missions.start('job')
      mission.report(phase)
      const ack = await client.send({ type: 'mission_cancel', missionId: mission.id, id: phase }).next('mission_ack')
      t.match(ack, { replyTo: phase, payload: { missionId: mission.id, status: 'accepted', action: 'cancel' } })
      t.equal(mission.signal.aborted, phase !== 'completed', phase)
      t.equal(mission.status, phase, 'a request changes no status')
    }
  })

  t.test('replies to a hidden mission as to one that does not exist', async (t) => {
    const app = await boot(t)
    const client = await connect(app)
    const mission = app.missions.start('job')
    const ask = async (missionId: string) => {
      const { code, message } = (await client.send({ type: 'mission_cancel', missionId }).next('protocol_error')).error
      return `${code} ${message}`
    }
    t.match(await ask(mission.id), /^unsupported /)
    app.missions.handle({ cancel: { authorize: (candidate) => candidate !== mission } })
    const hidden = await ask(mission.id)
    t.match(hidden, /^unknown_mission /)
    t.equal(await ask('nobody'), hidden)
    t.notOk(mission.signal.aborted)
    app.missions.handle({ cancel: { authorize: async () => { throw new Error('canary') } } })
    t.match(await ask(mission.id), /^internal_error (?!.*canary)/)
  })
})

t.test('a client that disconnects cancels nothing', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  app.missions.handle({ start: { start: () => app.missions.start('job') }, cancel: {} })
  const { payload } = await client.send({ type: 'mission_start', command: 'go' }).next('mission_ack')
  await client.close()
  t.equal(app.missions.get(payload.missionId)!.signal.aborted, false)
})

t.test('heartbeats are sent at their interval from one timer, and stop when no client is connected', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock })
  const clients = [await connect(app), await connect(app)]
  clock.advance(29_999)
  for (const client of clients) t.same(await client.settle(), [])
  clock.advance(1)
  const beats = await Promise.all(clients.map((client) => client.next('heartbeat')))
  t.notOk('payload' in beats[0]! || 'error' in beats[0]!)
  t.equal(beats[0]!.id, beats[1]!.id)
  for (const client of clients) await client.close()
  const late = await connect(app)
  clock.advance(29_999)
  t.same(await late.settle(), [], 'a new first connection starts a new interval')
  const sent = app.missionControl.wsMetrics().messagesSentTotal
  await late.close()
  clock.advance(300_000)
  t.equal(app.missionControl.wsMetrics().messagesSentTotal, sent)
})

t.test('messagesSentTotal counts every message, including acks and heartbeats', async (t) => {
  const clock = createVirtualClock()
  const app = await boot(t, { clock })
  const client = await connect(app)
  await client.subscribe('mission_update')
  client.send('nonsense').send({ type: 'whoami' }).send({ type: 'subscribe', channels: ['x'] })
  app.missions.start('job')
  clock.advance(30_000)
  await client.settle()
  t.equal(client.received.length, 7)
  t.equal(app.missionControl.wsMetrics().messagesSentTotal, 7)
})
