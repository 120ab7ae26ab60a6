import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { WebSocket as WsWebSocket } from 'ws'
import { connect, ClientError, type Client, type ClientOptions, type StorageLike } from '../lib/client/index.js'
import { CLOSE_CODES, missionChecksum } from '../schemas/index.js'
import { cursor, FakeSocket, FakeTarget, start, startOpen, type Stand } from './support/fake-service.js'
import { uncaught } from './support/app.js'
import { defer, settle } from './support/missions.js'

/** What a promise was rejected with. */
async function refusal (promise: Promise<unknown>): Promise<ClientError> {
  try {
    await promise
  } catch (err) {
    return err as ClientError
  }
  throw new Error('nothing was refused')
}

class MemoryStorage implements StorageLike {
  readonly values = new Map<string, string>()
  writes = 0
  getItem (key: string): string | null { return this.values.get(key) ?? null }
  setItem (key: string, value: string): void {
    this.writes++
    this.values.set(key, value)
  }
}

t.test('options', async (t) => {
  t.test('that are wrong or unknown throw at once and are named', async (t) => {
    const WebSocket = FakeSocket
    // From Node.js 22 on there is a built-in class, which the client would take where none is given.
    const here = globalThis as { WebSocket?: unknown }
    const builtIn = here.WebSocket
    t.teardown(() => { here.WebSocket = builtIn })
    here.WebSocket = undefined
    const cases: Array<[name: string, url: string, options: unknown]> = [
      ['url', 'no url', { WebSocket }], ['url', 'ftp://service.example', { WebSocket }], ['url', '/ws', { WebSocket }],
      ['WebSocket', 'ws://a.example', {}], ['WebSocket', 'ws://a.example', { WebSocket: {} }],
      ['channels', 'ws://a.example', { WebSocket, channels: [] }], ['channels', 'ws://a.example', { WebSocket, channels: ['mission_news'] }],
      ['channels', 'ws://a.example', { WebSocket, channels: 'mission_update' }],
      ['filter', 'ws://a.example', { WebSocket, filter: {}, channels: ['mission_stats'] }], ['filter', 'ws://a.example', { WebSocket, filter: 'import' }],
      ['heartbeatMs', 'ws://a.example', { WebSocket, heartbeatMs: 0 }], ['heartbeatMs', 'ws://a.example', { WebSocket, heartbeatMs: NaN }],
      ['heartbeatMs', 'ws://a.example', { WebSocket, heartbeatMs: '1000' }], ['getToken', 'ws://a.example', { WebSocket, getToken: 'secret' }],
      ['storage', 'ws://a.example', { WebSocket, storage: 'local' }], ['storageKey', 'ws://a.example', { WebSocket, storageKey: 1 }],
      ['random', 'ws://a.example', { WebSocket, random: 0.5 }], ['heartbeat', 'ws://a.example', { WebSocket, heartbeat: 1_000 }]
    ]
    for (const [name, url, options] of cases) {
      t.throws(() => connect(url, options as ClientOptions), { code: 'MC_CLIENT_INVALID_OPTION', message: name }, `${name} in ${JSON.stringify(options)}`)
    }
    t.ok(new ClientError('LOST', 'a') instanceof Error)
  })

  t.test('have defaults: mission_update, the URL as the key of the storage, 30 s', async (t) => {
    const storage = new MemoryStorage()
    const stand = await start(t, { storage, channels: undefined, heartbeatMs: undefined } as unknown as ClientOptions)
    t.match(stand.open(), { type: 'subscribe', channels: ['mission_update'] })
    stand.ack('fresh', { at: 4 })
    stand.client.close()
    t.strictSame([...storage.values.keys()], ['mission-control ws://service.example/ws'])
  })

  t.test('take the page they find, and URLs of it', async (t) => {
    const { sockets, socket: _, ...page } = { sockets: [] as FakeSocket[], socket: 0, document: { visibilityState: 'visible', addEventListener () {}, removeEventListener () {} } }
    class Socket extends FakeSocket {
      constructor (url: string, protocols: string[]) {
        super(url, protocols)
        sockets.push(this)
      }
    }
    const here = globalThis as unknown as Record<string, unknown>
    const added = { ...page, WebSocket: Socket, location: { href: 'https://page.example/app/' }, addEventListener () {}, removeEventListener () {} }
    const before = Object.keys(added).map((name) => [name, here[name]] as const)
    t.teardown(() => { for (const [name, value] of before) if (value === undefined) delete here[name]; else here[name] = value })
    Object.assign(here, added)
    const client = connect('/ws/mission-control')
    await settle()
    t.equal(sockets[0]!.url, 'wss://page.example/ws/mission-control')
    client.close()
  })
})

t.test('the first hand-over', async (t) => {
  t.test('is asked for when the socket opens, and is ready with its last message', async (t) => {
    const stand = await start(t, { filter: { names: ['import'] } })
    let isReady = false
    stand.client.ready.then(() => { isReady = true })
    t.strictSame([stand.client.state, stand.client.cause], ['connecting', 'start'])
    t.strictSame(stand.open(), { type: 'subscribe', id: 'i-1', channels: ['mission_update'], filter: { names: ['import'] } })
    stand.ack('fresh', { at: 7, messages: 2 })
    stand.snapshot('a', 'planned', 3, { tags: ['nightly'], startedAt: 5 })
    await settle()
    t.notOk(isReady)
    t.strictSame(stand.told, ['open: connected'], 'states come when all are there')
    stand.snapshot('b', 'execution_progress', 9)
    await settle()
    t.ok(isReady)
    t.strictSame(stand.told, ['open: connected', 'planned a 3', 'execution_progress b 9'])
    t.strictSame(stand.client.cursors, { mission_update: cursor(7) })
    t.match(stand.client.missionsState.get('a'), { missionId: 'a', tags: ['nightly'], startedAt: 5 })
    t.notOk('snapshot' in stand.client.missionsState.get('a')!)
  })

  t.test('of several channels is ready after the last of them; a channel without memory needs its ack alone', async (t) => {
    const stand = await start(t, { channels: ['mission_stats', 'health_delta', 'mission_update'], filter: { tags: ['a'] } })
    const stats: number[] = []
    stand.client.on('mission_stats', ({ active }, message) => { stats.push(active, message.unix) })
    const health: string[] = []
    stand.client.on('health_delta', ({ status }) => { health.push(status) })
    stand.open()
    stand.ack('fresh', { channel: 'mission_stats' })
    stand.say('mission_stats', { payload: { active: 3 } })
    stand.ack('fresh', { channel: 'health_delta', at: 1, messages: 1 })
    stand.say('health_delta', { payload: { status: 'healthy', snapshot: true } })
    let isReady = false
    stand.client.ready.then(() => { isReady = true })
    await settle()
    t.notOk(isReady)
    stand.ack('fresh', { at: 0, messages: 0 })
    await settle()
    t.ok(isReady)
    t.strictSame([stats, health], [[3, 0], ['healthy']])
    t.strictSame(stand.client.cursors, { health_delta: cursor(1), mission_update: cursor(0) })
  })

  t.test('is none where the service knows no hand-overs', async (t) => {
    const stand = await start(t)
    stand.open()
    stand.ack()
    stand.update('a', 'planned', 1)
    await stand.client.ready
    t.strictSame(stand.told.slice(1), ['planned a 1'])
    stand.say('heartbeat', { intervalMs: 1_000, heads: { mission_update: cursor(3), health_delta: cursor(1) } })
    t.strictSame(stand.client.cursors, { mission_update: cursor(3) })
  })

  t.test('that is refused is an error, and what is not refused goes on', async (t) => {
    const stand = await start(t, { channels: ['mission_update', 'mission_stats'] })
    const asked = stand.open()
    stand.ack('fresh', { channel: 'mission_stats' })
    stand.say('subscription_error', { replyTo: asked.id, error: { code: 'forbidden', message: 'No.', positions: [0] } })
    await stand.client.ready
    t.match(stand.errors, [{ code: 'MC_CLIENT_REFUSED', reason: 'forbidden' }])
    stand.say('protocol_error', { error: { code: 'rate_limited', message: 'Slow down.' } })
    t.match(stand.errors[1], { code: 'MC_CLIENT_REFUSED', reason: 'rate_limited' })
  })

  t.test('of one channel goes on while another one is refused', async (t) => {
    const stand = await start(t, { channels: ['mission_update', 'mission_stats'] })
    const asked = stand.open()
    stand.ack('fresh', { at: 1, messages: 2 })
    stand.snapshot('a', 'planned', 1)
    stand.say('subscription_error', { replyTo: asked.id, error: { code: 'forbidden', message: 'No.', positions: [1] } })
    stand.snapshot('b', 'planned', 1)
    await stand.client.ready
    t.strictSame(stand.told, ['open: connected', 'planned a 1', 'planned b 1'])
  })
})

t.test('messages', async (t) => {
  t.test('of a mission come once and in order, whatever is sent twice', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planning_started', 1, 1, { objective: 'all of it', tags: ['x'] })
    stand.update('a', 'planning_started', 1, 1)
    stand.update('a', 'execution_progress', 2, undefined, { progress: { taskId: 't', index: 1, total: 2, status: 'done' } })
    stand.update('a', 'execution_progress', 2)
    stand.update('a', 'completed', 3, 2, { durationMs: 5, endedAt: 9, previousStatus: 'execution_progress' })
    stand.update('a', 'execution_progress', 4)
    stand.snapshot('a', 'completed', 3, { endedAt: 9 })
    t.strictSame(stand.told, ['planning_started a 1', 'execution_progress a 2', 'completed a 3'])
    t.strictSame(stand.client.missionsState.get('a'), {
      missionId: 'a',
      status: 'completed',
      name: 'import',
      seq: 3,
      objective: 'all of it',
      tags: ['x'],
      progress: { taskId: 't', index: 1, total: 2, status: 'done' },
      durationMs: 5,
      endedAt: 9
    }, 'what was told once stays')
    t.strictSame(stand.client.cursors.mission_update, cursor(2))
  })

  t.test('that say what holds only for now are not kept longer', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1, { stalled: true, waiting: 'for approval' })
    t.match(stand.client.missionsState.get('a'), { stalled: true, waiting: 'for approval' })
    stand.update('a', 'execution_progress', 2)
    t.strictSame(Object.keys(stand.client.missionsState.get('a')!), ['missionId', 'status', 'name', 'seq'])
  })

  t.test('of an id that is used again begin a new life', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'error', 2, 1, { error: { code: 'E', message: 'm' }, endedAt: 1 })
    stand.update('a', 'planning_started', 1, 2)
    t.strictSame(stand.client.missionsState.get('a'), { missionId: 'a', status: 'planning_started', name: 'import', seq: 1 })
    stand.update('a', 'error', 2, 3, { endedAt: 2 })
    t.strictSame(stand.told, ['error a 2', 'planning_started a 1', 'error a 2'])
  })

  t.test('that nobody knows, that are broken, and replies that come late are passed over', async (t) => {
    const stand = await startOpen(t)
    stand.say('mission_news', { payload: {} })
    stand.say('constructor', { payload: {} })
    stand.say('pong', { replyTo: 'i-99' })
    stand.say('mission_update', { replyTo: 'i-99', payload: { missionId: 'a', status: 'planned', name: 'import', seq: 1, snapshot: true } })
    stand.say('subscription_ack', { replyTo: 'i-98', payload: { channel: 'mission_update', status: 'subscribed', outcome: 'gap' } })
    stand.say('subscription_ack', { payload: { channel: 'mission_stats', status: 'unsubscribed' } })
    stand.say('subscription_gap', { payload: { channel: 'mission_stats', cause: 'overflow' } })
    t.strictSame([stand.told, stand.errors], [[], []])
    stand.socket.fire('message', { data: '{' })
    stand.socket.fire('message', { data: 'null' })
    t.match(stand.errors, [{ code: 'MC_CLIENT_BAD_MESSAGE' }, { code: 'MC_CLIENT_BAD_MESSAGE' }])
  })

  t.test('of a newer protocol are told of once a connection, and read as far as they are known', async (t) => {
    const stand = await startOpen(t)
    stand.say('pong', { protocolVersion: 2 })
    stand.say('mission_update', { protocolVersion: 2, payload: { missionId: 'a', status: 'planned', name: 'import', seq: 1, shape: 'new' } })
    t.strictSame(stand.told, ['version 2', 'planned a 1'])
    stand.cut()
    stand.clock.advance(1_000)
    await settle()
    stand.open()
    stand.say('pong', { protocolVersion: 3 })
    t.ok(stand.told.includes('version 3'))
  })

  t.test('reach the other listeners when one throws, and the error is told', async (t) => {
    const stand = await startOpen(t)
    const failure = new Error('of a listener')
    const heard: string[] = []
    const stop = stand.client.on('mission_update', () => { throw failure })
    stand.client.on('mission_update', ({ missionId }) => { heard.push(missionId) })
    stand.update('a', 'planned', 1, 1)
    t.strictSame(heard, ['a'])
    t.match(stand.errors, [{ code: 'MC_CLIENT_LISTENER_FAILED', cause: failure }])
    stop()
    stand.update('a', 'execution_started', 2, 2)
    t.equal(stand.errors.length, 1)
  })

  t.test('whose listener throws while nobody listens to errors, or throws in a listener of errors, are no secret', async (t) => {
    for (const event of ['state', 'error'] as const) {
      const sockets: FakeSocket[] = []
      class Socket extends FakeSocket {
        constructor (url: string, protocols: string[]) {
          super(url, protocols)
          sockets.push(this)
        }
      }
      const failure = new Error(`of ${event}`)
      const caught = await uncaught(async () => {
        const client = connect('ws://a.example', { WebSocket: Socket })
        client.on(event, () => { throw failure })
        await settle()
        sockets[0]!.fire('open')
        sockets[0]!.fire('message', { data: 'no JSON' })
        client.close()
      })
      t.ok(caught.length >= 1)
      t.ok(caught.every((err) => err === failure))
    }
  })

  t.test('do not come any more once a listener has closed the client', async (t) => {
    const stand = await start(t)
    stand.client.on('mission_update', () => stand.client.close())
    stand.open()
    stand.ack('fresh', { at: 2, messages: 2 })
    stand.snapshot('a', 'planned', 1)
    stand.snapshot('b', 'planned', 1)
    t.strictSame(stand.told, ['open: connected', 'planned a 1', 'closed: closed'])
  })
})

t.test('after a cut', async (t) => {
  t.test('the client resumes from its cursor, without states, and each message comes once', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    stand.cut()
    t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'close_1006'])
    stand.clock.advance(500)
    await settle()
    t.strictSame(stand.open(), { type: 'subscribe', id: 'i-2', channels: ['mission_update'], since: { mission_update: cursor(1) } })
    stand.told.length = 0
    stand.ack('resumed', { at: 3, messages: 2 })
    stand.update('a', 'execution_started', 2, 2)
    stand.update('a', 'completed', 3, 3)
    stand.update('b', 'planned', 1, 4)
    t.strictSame(stand.told, ['execution_started a 2', 'completed a 3', 'planned b 1'])
    t.notOk(stand.client.missionsState.get('a')!.status === 'planned')
  })

  t.test('in the middle of a hand-over the rest of it is asked for again', async (t) => {
    const stand = await start(t)
    stand.open()
    stand.ack('fresh', { at: 3, messages: 2 })
    stand.snapshot('a', 'planned', 1)
    stand.cut()
    stand.clock.advance(1_000)
    await settle()
    t.notOk('since' in stand.open(), 'nothing was handed over')
    stand.ack('fresh', { at: 3, messages: 0 })
    stand.cut()
    stand.clock.advance(1_000)
    await settle()
    stand.open()
    stand.ack('resumed', { at: 5, messages: 2 })
    stand.update('a', 'planned', 1, 4)
    stand.cut()
    stand.clock.advance(2_000)
    await settle()
    t.match(stand.open(), { since: { mission_update: cursor(4) } })
  })

  t.test('with a gap the cause is told, then the present state, the endings once, and lost missions go', async (t) => {
    const stand = await startOpen(t)
    stand.update('kept', 'planned', 1, 1)
    stand.update('ended', 'planned', 1, 2)
    stand.update('over', 'completed', 1, 3, { endedAt: 3 })
    stand.update('lost', 'planned', 1, 4)
    stand.cut()
    stand.clock.advance(500)
    await settle()
    stand.open()
    stand.told.length = 0
    stand.ack('gap', { at: 90, messages: 4, gap: { cause: 'trimmed', range: { epoch: 'e1', from: 5, to: 9 } } })
    stand.snapshot('kept', 'planned', 1)
    stand.snapshot('ended', 'cancelled', 5, { endedAt: 4 })
    stand.snapshot('over', 'completed', 1, { endedAt: 3 })
    stand.snapshot('new', 'execution_progress', 7)
    t.strictSame(stand.told, ['gap mission_update trimmed', 'cancelled ended 5', 'execution_progress new 7', 'lost lost'])
    t.strictSame([...stand.client.missionsState.keys()], ['kept', 'ended', 'over', 'new'])
    stand.update('kept', 'completed', 2, 91)
    t.equal(stand.told.at(-1), 'completed kept 2')
  })

  t.test('and a restart of the service nothing of the old process holds, and endings still come once', async (t) => {
    const stand = await startOpen(t)
    stand.update('again', 'execution_progress', 8, 1, { objective: 'old' })
    stand.update('over', 'completed', 4, 2, { endedAt: 3 })
    stand.update('redone', 'completed', 4, 3, { endedAt: 3 })
    stand.cut()
    stand.clock.advance(500)
    await settle()
    stand.open()
    stand.told.length = 0
    stand.epoch = 'e2'
    stand.ack('gap', { at: 2, messages: 3, gap: { cause: 'epoch_changed' } })
    stand.snapshot('again', 'planned', 2)
    stand.snapshot('over', 'completed', 4, { endedAt: 3 })
    stand.snapshot('redone', 'planned', 1)
    t.strictSame(stand.told, ['gap mission_update epoch_changed', 'planned again 2', 'planned redone 1'])
    t.strictSame(stand.client.missionsState.get('again'), { missionId: 'again', status: 'planned', name: 'import', seq: 2 })
    stand.update('again', 'execution_started', 3, 3)
    t.equal(stand.told.at(-1), 'execution_started again 3')
  })

  t.test('or none: a reader that was too slow is told of the gap and gets the state', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    stand.update('b', 'planned', 1, 2)
    stand.told.length = 0
    stand.say('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 1 } })
    stand.snapshot('b', 'execution_started', 4)
    t.strictSame(stand.told, ['gap mission_update overflow', 'execution_started b 4', 'lost a'])
    t.strictSame(stand.client.cursors.mission_update, cursor(9))
  })

  t.test('a state that is older than what is known changes nothing', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    stand.update('a', 'execution_progress', 6)
    stand.update('b', 'completed', 6, 2, { endedAt: 1 })
    stand.told.length = 0
    stand.say('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(2), messages: 2 } })
    stand.snapshot('a', 'execution_progress', 5)
    stand.snapshot('b', 'execution_progress', 5)
    t.strictSame(stand.told, ['gap mission_update overflow'])
    t.match(stand.client.missionsState.get('a'), { seq: 6 })
    t.match(stand.client.missionsState.get('b'), { status: 'completed' })
  })

  t.test('the last 1,000 endings are kept, the oldest go first', async (t) => {
    const stand = await startOpen(t)
    stand.update('active', 'planned', 1, 1)
    for (let at = 0; at <= 1_000; at++) stand.update(`m${at}`, 'completed', 1, 2 + at)
    t.equal(stand.client.missionsState.size, 1_001)
    t.notOk(stand.client.missionsState.has('m0'))
    t.ok(stand.client.missionsState.has('active') && stand.client.missionsState.has('m1'))
    stand.update('m1', 'planned', 1, 1_003)
    for (let at = 0; at <= 1_000; at++) stand.update(`n${at}`, 'completed', 1, 1_004 + at)
    t.match(stand.client.missionsState.get('m1'), { status: 'planned' }, 'an id that is used again is no ending')
  })
})

t.test('what was lost on the way', async (t) => {
  t.test('is seen by the hole and asked for again, and nothing comes out of its turn', async (t) => {
    const stand = await startOpen(t)
    stand.clock.advance(60_000)
    stand.update('a', 'planned', 1, 1)
    stand.update('a', 'completed', 3, 3)
    t.match(stand.socket.sent.slice(-2), [{ type: 'unsubscribe', channels: ['mission_update'] }, { type: 'subscribe', since: { mission_update: cursor(1) } }])
    stand.update('b', 'planned', 1, 4)
    stand.say('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 0 } })
    t.strictSame(stand.told.filter((text) => /gap| [ab] /.test(text)), ['planned a 1'], 'that is sent again too')
    stand.ack('resumed', { at: 4, messages: 3 })
    stand.update('a', 'execution_started', 2, 2)
    stand.update('a', 'completed', 3, 3)
    stand.update('b', 'planned', 1, 4)
    t.strictSame(stand.told.filter((text) => / [ab] /.test(text)), ['planned a 1', 'execution_started a 2', 'completed a 3', 'planned b 1'])
    const { length } = stand.socket.sent
    stand.update('b', 'completed', 3, 9)
    t.equal(stand.socket.sent.length, length, 'at most once a minute')
    stand.clock.advance(60_000)
    stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(9) } })
    t.match(stand.socket.last('subscribe'), { since: { mission_update: cursor(4) } })
  })

  t.test('is seen by the head of a heartbeat', async (t) => {
    for (const head of [cursor(2), cursor(1, 'e2')]) {
      const stand = await startOpen(t)
      stand.update('a', 'planned', 1, 1)
      stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(1) } })
      t.equal(stand.socket.sent.length, 1)
      stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: head } })
      t.match(stand.socket.last('subscribe'), { since: { mission_update: cursor(1) } })
      stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: head } })
      t.equal(stand.socket.sent.length, 3, 'once it is asked for, it is waited for')
    }
  })

  t.test('is not what a filter hides: then the head is where the client is', async (t) => {
    const stand = await startOpen(t, { filter: { names: ['import'] }, channels: ['health_delta', 'mission_update'] })
    stand.update('a', 'planned', 1, 5)
    stand.update('a', 'completed', 2, 8)
    t.strictSame(stand.told, ['planned a 1', 'completed a 2'])
    stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(11) } })
    t.strictSame(stand.client.cursors.mission_update, cursor(11))
    stand.say('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(9) } })
    t.strictSame(stand.client.cursors.mission_update, cursor(11), 'one that waited does not take it back')
    t.equal(stand.socket.sent.length, 1)
    stand.say('health_delta', { position: { epoch: 'e1', offset: 2 }, payload: { status: 'degraded' } })
    t.match(stand.socket.last('subscribe'), { channels: ['health_delta'] }, 'the filter is that of one channel')
    t.notOk('filter' in stand.socket.last('subscribe'))
  })

  t.test('is seen by the checksum, told of, and repaired by asking for everything, at most once a minute', async (t) => {
    const stand = await start(t)
    stand.open()
    const checksum = missionChecksum([{ missionId: 'a', status: 'planned' }])
    stand.ack('fresh', { at: 1, messages: 1, checksum })
    stand.snapshot('a', 'planned', 1)
    t.strictSame(stand.told, ['open: connected', 'planned a 1'], 'all is well')
    stand.say('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: { ...cursor(5), checksum: '2-00000000' }, messages: 1 } })
    stand.snapshot('a', 'planned', 1)
    t.equal(stand.told.at(-1), 'diverged and repaired')
    t.equal(stand.socket.sent.at(-2)!.type, 'unsubscribe')
    t.notOk('since' in stand.socket.last('subscribe'))
    stand.ack('fresh', { at: 5, messages: 1, checksum: '2-00000000' })
    stand.snapshot('a', 'planned', 1)
    t.equal(stand.told.at(-1), 'diverged and left')
    t.strictSame(stand.client.cursors.mission_update, cursor(5))
    t.equal(stand.socket.sent.length, 3)
  })
})

t.test('a filter by status', async (t) => {
  t.test('has a mission that leaves told once more, and then it is none of the present ones', async (t) => {
    const stand = await startOpen(t, { filter: { statuses: ['execution_progress', 'execution_started'] } })
    stand.update('a', 'execution_started', 2, 1)
    t.ok(stand.client.missionsState.has('a'))
    const ending = stand.client.waitFor('a')
    stand.update('a', 'planned', 3, 2)
    t.notOk(stand.client.missionsState.has('a'))
    t.strictSame(stand.told, ['execution_started a 2', 'planned a 3'])
    stand.say('heartbeat', { intervalMs: 30_000, heads: {} })
    const asked = stand.socket.last('mission_get')
    t.match(asked, { missionId: 'a' }, 'who waits for it has the service asked')
    stand.say('mission_update', { replyTo: asked.id, payload: { missionId: 'a', status: 'completed', name: 'import', seq: 4, snapshot: true } })
    t.match(await ending, { status: 'completed' })
    t.notOk(stand.client.missionsState.has('a'))
    stand.update('b', 'execution_started', 2, 3)
    stand.update('b', 'error', 3, 4)
    t.match(stand.client.missionsState.get('b'), { status: 'error' })
  })
})

/** Cuts the newest connection and opens the next one, as far as the subscription. */
async function reopen (stand: Stand): Promise<void> {
  stand.cut()
  stand.clock.advance(30_000)
  await settle()
  stand.open()
}

t.test('the connection', async (t) => {
  t.test('is made again after a wait that is drawn anew and grows, and short again once it was stable for a minute', async (t) => {
    const stand = await start(t)
    const waits: number[] = []
    const waitFor = async (ms: number): Promise<void> => {
      const { length } = stand.sockets
      stand.clock.advance(ms - 1)
      await settle()
      t.equal(stand.sockets.length, length, `not before ${ms} ms`)
      stand.clock.advance(1)
      await settle()
      t.equal(stand.sockets.length, length + 1, `after ${ms} ms`)
      waits.push(ms)
    }
    for (const [random, ms] of [[0.9, 900], [0.9, 900], [0.5, 1_000], [0.5, 2_000], [0.5, 4_000], [0.5, 8_000], [0.5, 15_000], [0.9, 27_000]] as const) {
      stand.randoms.push(random)
      stand.cut()
      t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'unreachable'])
      await waitFor(ms)
    }
    stand.open()
    stand.clock.advance(59_999)
    stand.randoms.push(0.8)
    stand.cut()
    await waitFor(24_000)
    stand.open()
    stand.clock.advance(60_000)
    stand.randoms.push(0.4)
    stand.cut()
    await waitFor(400)
  })

  t.test('obeys the close codes: now, later or never', async (t) => {
    for (const [reason, { code, reconnect }] of Object.entries(CLOSE_CODES)) {
      const stand = await startOpen(t)
      stand.cut(code, reason)
      t.equal(stand.client.cause, reason)
      const { length } = stand.sockets
      stand.clock.advance(0)
      await settle()
      t.equal(stand.sockets.length - length, reconnect === 'now' ? 1 : 0, `${reason}, at once`)
      stand.clock.advance(14_999)
      await settle()
      t.equal(stand.sockets.length - length, reconnect === 'now' ? 1 : 0, `${reason}, soon`)
      stand.clock.advance(1)
      await settle()
      t.equal(stand.sockets.length - length, reconnect === 'never' ? 0 : 1, `${reason}, later`)
      t.equal(stand.client.state === 'closed', reconnect === 'never')
    }
  })

  t.test('is not made without pause with a service that always says now', async (t) => {
    const stand = await startOpen(t)
    stand.cut(1013, 'slow_consumer')
    stand.clock.advance(0)
    await settle()
    stand.open()
    stand.cut(1013, 'slow_consumer')
    stand.clock.advance(499)
    await settle()
    t.equal(stand.sockets.length, 2)
    stand.clock.advance(1)
    await settle()
    t.equal(stand.sockets.length, 3)
  })

  t.test('never comes back from what the library of the service closed without a reason', async (t) => {
    const stand = await startOpen(t)
    stand.cut(1009)
    t.strictSame([stand.client.state, stand.client.cause], ['closed', 'close_1009'])
  })

  t.test('comes back exactly when a draining service has said, whatever happens until then', async (t) => {
    const stand = await startOpen(t)
    stand.say('server_draining', { payload: { retryAfterMs: 7_000 } })
    stand.clock.advance(2_000)
    stand.cut(1012, 'server_restart')
    stand.window.fire('online')
    stand.clock.advance(4_999)
    await settle()
    t.equal(stand.sockets.length, 1)
    stand.clock.advance(1)
    await settle()
    t.equal(stand.sockets.length, 2)
    stand.cut()
    stand.clock.advance(1_000)
    await settle()
    t.equal(stand.sockets.length, 3, 'it was said once')
  })

  t.test('is not tried while nobody looks at the page', async (t) => {
    const stand = await start(t, {}, { isHidden: true })
    t.strictSame([stand.client.state, stand.client.cause, stand.sockets.length], ['waiting', 'hidden', 0])
    stand.window.fire('online')
    await settle()
    t.equal(stand.sockets.length, 0)
    stand.document.visibilityState = 'visible'
    stand.document.fire('visibilitychange')
    await settle()
    t.equal(stand.sockets.length, 1)
    stand.open()
    stand.document.visibilityState = 'hidden'
    stand.document.fire('visibilitychange')
    t.equal(stand.socket.sent.length, 1, 'what is open is left alone')
    stand.document.visibilityState = 'visible'
    stand.say('server_draining', { payload: { retryAfterMs: 1_000 } })
    stand.cut(1012, 'server_restart')
    stand.document.visibilityState = 'hidden'
    stand.document.fire('visibilitychange')
    stand.clock.advance(60_000)
    await settle()
    t.strictSame([stand.sockets.length, stand.client.cause], [1, 'hidden'])
    stand.document.visibilityState = 'visible'
    stand.document.fire('visibilitychange')
    await settle()
    t.strictSame([stand.sockets.length, stand.client.cause], [2, 'visibilitychange'])
  })

  t.test('is tried at once when the network or the page is back', async (t) => {
    for (const event of ['online', 'pageshow']) {
      const stand = await startOpen(t)
      stand.randoms.push(0.9)
      stand.cut()
      stand.window.fire(event)
      await settle()
      t.strictSame([stand.sockets.length, stand.client.cause], [2, event])
      stand.window.fire(event)
      stand.clock.advance(900)
      await settle()
      t.equal(stand.sockets.length, 2, 'never two at once')
    }
  })

  t.test('is verified at once when the network or the page is back, and dropped if nothing answers', async (t) => {
    const stand = await startOpen(t)
    stand.window.fire('pageshow')
    stand.window.fire('online')
    stand.say('pong', { replyTo: stand.socket.last('ping').id })
    stand.clock.advance(5_000)
    t.equal(stand.client.state, 'open')
    stand.window.fire('pageshow')
    stand.clock.advance(1_000)
    stand.window.fire('online')
    stand.clock.advance(4_000)
    t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'no_answer'])
    t.equal(stand.sockets[0]!.closedWith, 1000)
  })

  t.test('is stale after two missed heartbeats, open again with any message, and dropped without one', async (t) => {
    const stand = await startOpen(t, { heartbeatMs: 1_000 })
    stand.clock.advance(1_500)
    stand.update('a', 'planned', 1, 1)
    stand.clock.advance(1_999)
    t.equal(stand.client.state, 'open')
    stand.clock.advance(1)
    t.strictSame([stand.client.state, stand.client.cause], ['stale', 'silent'])
    stand.clock.advance(9_999)
    stand.update('a', 'execution_started', 2, 2)
    t.strictSame([stand.client.state, stand.client.cause], ['open', 'answered'])
    stand.say('heartbeat', { intervalMs: 5_000 })
    stand.say('heartbeat')
    stand.clock.advance(9_999)
    t.equal(stand.client.state, 'open', 'the service has said how often it is heard')
    stand.clock.advance(1)
    t.equal(stand.client.state, 'stale')
    stand.clock.advance(10_000)
    t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'no_answer'])
  })

  t.test('that takes too long to be made is given up, and what its socket says later is not heard', async (t) => {
    const stand = await start(t)
    const [first] = stand.sockets
    stand.clock.advance(15_000)
    t.strictSame([stand.client.state, stand.client.cause, first!.closedWith], ['waiting', 'unreachable', 1000])
    first!.fire('open')
    first!.fire('message', { data: '{' })
    first!.fire('close', { code: 1002, reason: '' })
    t.strictSame([stand.client.state, stand.errors, first!.sent], ['waiting', [], []])
  })

  t.test('that fails is tried again, also where only an error tells of it', async (t) => {
    const stand = await start(t)
    stand.socket.fire('error')
    t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'unreachable'])
    stand.clock.advance(500)
    await settle()
    stand.open()
    stand.socket.fire('error')
    t.equal(stand.client.state, 'open', 'the close comes next')
  })

  t.test('that cannot be made is an error and tried again', async (t) => {
    const failure = new Error('mixed content')
    const WebSocket = class extends FakeSocket {
      constructor (url: string) {
        super(url, [])
        throw failure
      }
    }
    const stand = await start(t, { WebSocket })
    t.match(stand.errors, [{ code: 'MC_CLIENT_CONNECT_FAILED', cause: failure }])
    t.equal(stand.client.state, 'waiting')
  })

  t.test('is closed once and for all by close: nothing is left of it', async (t) => {
    const stand = await startOpen(t)
    stand.client.close()
    stand.client.close()
    t.strictSame(stand.told, ['closed: closed'])
    t.equal(stand.socket.closedWith, 1000)
    t.equal(stand.document.count + stand.window.count, 0, 'no listener on the page')
    stand.clock.advance(600_000)
    await settle()
    t.equal(stand.sockets.length, 1)
  })

  t.test('may be closed by whoever hears of a state', async (t) => {
    for (const at of ['connecting', 'open', 'stale', 'waiting', 'answered']) {
      const stand = await start(t)
      stand.client.on('state', ({ state, cause }) => { if (state === at || cause === at) stand.client.close() })
      stand.open()
      stand.clock.advance(60_000)
      stand.say('heartbeat', { intervalMs: 1_000, protocolVersion: 2 })
      stand.cut()
      stand.clock.advance(120_000)
      await settle()
      t.equal(stand.client.state, 'closed', at)
      t.notOk(stand.told.slice(stand.told.indexOf('closed: closed')).includes('version 2'), 'it is silent then')
      t.equal(stand.sockets.length, 1, at)
      t.equal(stand.told.filter((text) => text.startsWith('closed')).length, 1)
    }
  })

  t.test('rejects ready if it was closed before', async (t) => {
    const stand = await start(t)
    stand.client.close()
    t.match(await refusal(stand.client.ready), { code: 'MC_CLIENT_CLOSED', message: 'closed' })
  })
})

t.test('the token', async (t) => {
  t.test('is asked for anew for each connection and goes along as a subprotocol', async (t) => {
    const tokens = ['first', 'sec.ond~-_!']
    const stand = await start(t, { getToken: () => tokens.shift()! })
    t.strictSame(stand.socket.protocols, ['bearer', 'first'])
    stand.open()
    stand.cut()
    stand.clock.advance(1_000)
    await settle()
    t.strictSame(stand.socket.protocols, ['bearer', 'sec.ond~-_!'])
    t.strictSame((await start(t)).socket.protocols, [])
  })

  t.test('that no subprotocol may be is an error that ends it', async (t) => {
    for (const token of ['a b', 'a,b', 'a/b', 'a=', 'ä', '', undefined]) {
      const stand = await start(t, { getToken: async () => token as string })
      t.match(stand.errors, [{ code: 'MC_CLIENT_INVALID_TOKEN' }], String(token))
      t.strictSame([stand.client.state, stand.client.cause, stand.sockets.length], ['closed', 'invalid_token', 0])
    }
  })

  t.test('that cannot be had is an error, and asked for again', async (t) => {
    const failure = new Error('no session')
    const answers = [() => { throw failure }, async () => { throw failure }, () => 'good']
    const stand = await start(t, { getToken: () => answers.shift()!() })
    stand.clock.advance(500)
    await settle()
    t.match(stand.errors, [{ code: 'MC_CLIENT_TOKEN_FAILED', cause: failure }, { code: 'MC_CLIENT_TOKEN_FAILED' }])
    t.strictSame([stand.client.state, stand.client.cause], ['waiting', 'token_failed'])
    stand.clock.advance(500)
    await settle()
    t.strictSame(stand.socket.protocols, ['bearer', 'good'])
  })

  t.test('of a client that the error closes is not requested again', async (t) => {
    const stand = await start(t, { getToken: async () => { throw new Error('no session') } })
    stand.client.on('error', () => stand.client.close())
    stand.clock.advance(60_000)
    await settle()
    stand.clock.advance(60_000)
    await settle()
    t.strictSame([stand.client.state, stand.client.cause, stand.errors.length], ['closed', 'closed', 2])
  })

  t.test('that never comes is given up after a minute, and asked for again', async (t) => {
    const late = defer<string>()
    const answers = [late.promise, 'good']
    const stand = await start(t, { getToken: () => answers.shift()! })
    stand.clock.advance(59_999)
    t.equal(stand.client.state, 'connecting')
    stand.clock.advance(1)
    t.strictSame([stand.client.state, stand.client.cause, stand.sockets.length], ['waiting', 'token_failed', 0])
    stand.clock.advance(1_000)
    await settle()
    t.strictSame(stand.socket.protocols, ['bearer', 'good'])
    late.resolve('late')
    await settle()
    t.equal(stand.sockets.length, 1, 'the late one opens nothing')
  })

  t.test('that comes after the client was closed opens nothing', async (t) => {
    for (const fails of [false, true]) {
      const token = defer<string>()
      const stand = await start(t, { getToken: () => token.promise })
      stand.client.close()
      if (fails) token.reject(new Error('late'))
      else token.resolve('late')
      await settle()
      t.strictSame([stand.sockets, stand.errors], [[], []])
    }
  })
})

t.test('commands', async (t) => {
  t.test('are answered by id, and what is refused carries the code of the service', async (t) => {
    const stand = await startOpen(t)
    const started = stand.client.start('/mission {}', { id: 'mine' })
    const cancelled = stand.client.cancel('m1')
    t.match(stand.socket.sent.slice(-2), [{ type: 'mission_start', command: '/mission {}', id: 'mine' }, { type: 'mission_cancel', missionId: 'm1' }])
    stand.say('protocol_error', { replyTo: stand.socket.last('mission_cancel').id, error: { code: 'unknown_mission', message: 'None.' } })
    stand.say('mission_ack', { replyTo: 'mine', payload: { missionId: 'm2', status: 'accepted' } })
    t.strictSame(await started, { missionId: 'm2', status: 'accepted' })
    t.match(await refusal(cancelled), { code: 'MC_CLIENT_REFUSED', reason: 'unknown_mission', message: 'None.' })
    t.strictSame(stand.errors, [], 'it is told to whoever asked')
    const twice = [stand.client.start('a', { id: 'same' }), stand.client.start('b', { id: 'same' })]
    t.match(await refusal(twice[1]!), { code: 'MC_CLIENT_INVALID_OPTION' })
    stand.say('mission_ack', { replyTo: 'same', payload: { missionId: 'm3', status: 'accepted' } })
    t.match(await twice[0], { missionId: 'm3' })
  })

  t.test('wait for the connection, but not longer than they may', async (t) => {
    const stand = await start(t)
    const early = stand.client.start('early')
    const short = stand.client.start('short', { timeoutMs: 1_000 })
    stand.clock.advance(1_000)
    t.match(await refusal(short), { code: 'MC_CLIENT_TIMEOUT', message: 'mission_start' })
    stand.open()
    t.match(stand.socket.sent.map(({ type }) => type), ['subscribe', 'mission_start'])
    stand.clock.advance(29_000)
    t.match(await refusal(early), { code: 'MC_CLIENT_TIMEOUT' })
    stand.say('mission_ack', { replyTo: stand.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    t.strictSame(stand.errors, [], 'an answer that comes late is nobody\'s')
  })

  t.test('whose answer was cut off have an unknown outcome, unless they may be sent again', async (t) => {
    const stand = await startOpen(t)
    const once = stand.client.start('once')
    const again = stand.client.start('again', { id: 'key', retry: true })
    const cancelled = stand.client.cancel('m1')
    stand.cut()
    t.match(await refusal(once), { code: 'MC_CLIENT_OUTCOME_UNKNOWN', message: 'mission_start' })
    const later = stand.client.start('later')
    stand.clock.advance(1_000)
    await settle()
    stand.open()
    t.match(stand.socket.sent.slice(1), [{ id: 'key', command: 'again' }, { type: 'mission_cancel', missionId: 'm1' }, { command: 'later' }])
    for (const { id } of stand.socket.sent.slice(1)) stand.say('mission_ack', { replyTo: id, payload: { missionId: `of ${id}`, status: 'accepted' } })
    t.match(await again, { missionId: 'of key' })
    await cancelled
    await later
  })

  t.test('are refused by a client that is closed, those that wait too', async (t) => {
    const stand = await startOpen(t)
    const waiting = stand.client.ping()
    stand.client.close()
    t.match(await refusal(waiting), { code: 'MC_CLIENT_CLOSED' })
    t.match(await refusal(stand.client.start('a')), { code: 'MC_CLIENT_CLOSED' })
    t.match(await refusal(stand.client.waitFor('a')), { code: 'MC_CLIENT_CLOSED' })
    for await (const update of stand.client.missions()) t.fail(update.missionId)
    for await (const update of stand.client.missions({ id: 'a' })) t.fail(update.missionId)
  })

  t.test('of which the simplest measures the way to the service and back', async (t) => {
    const stand = await startOpen(t)
    t.equal(stand.client.rttMs, undefined)
    const rtt = stand.client.ping()
    stand.clock.advance(12)
    stand.say('pong', { replyTo: stand.socket.last('ping').id })
    t.equal(await rtt, 12)
    t.equal(stand.client.rttMs, 12)
  })
})

t.test('who waits for a mission', async (t) => {
  const endings = async (stand: Stand, ...ids: string[]) => (await Promise.all(ids.map(async (id) => await stand.client.waitFor(id)))).map(({ status }) => status)
  const answer = (stand: Stand, mission?: { status: string, seq: number }): void => {
    const { id, missionId } = stand.socket.last('mission_get')
    if (mission === undefined) stand.say('protocol_error', { replyTo: id, error: { code: 'unknown_mission', message: 'None.' } })
    else stand.say('mission_update', { replyTo: id, payload: { missionId, name: 'import', snapshot: true, ...mission } })
  }

  t.test('gets its ending with all that was told of it, live, after a cut, from a state, and when it is long over', async (t) => {
    const stand = await startOpen(t)
    stand.update('live', 'planned', 1, 1, { objective: 'all' })
    stand.update('replayed', 'planned', 1, 2)
    stand.update('state', 'planned', 1, 3)
    const live = stand.client.waitFor('live')
    const others = endings(stand, 'replayed', 'state')
    stand.update('live', 'error', 2, 4, { error: { code: 'E', message: 'm' }, durationMs: 7 })
    t.strictSame(await live, { missionId: 'live', status: 'error', name: 'import', seq: 2, objective: 'all', error: { code: 'E', message: 'm' }, durationMs: 7 })
    await reopen(stand)
    stand.ack('resumed', { at: 5, messages: 1 })
    stand.update('replayed', 'completed', 2, 5)
    stand.say('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 1 } })
    stand.snapshot('state', 'cancelled', 2)
    t.strictSame(await others, ['completed', 'cancelled'])
    t.strictSame(await endings(stand, 'live', 'state'), ['error', 'cancelled'])
    t.notOk(stand.socket.sent.some(({ type }) => type === 'mission_get'), 'nothing had to be asked')
  })

  t.test('that the client does not hold has the service asked, and hears of one that there is not', async (t) => {
    const stand = await start(t)
    const early = stand.client.waitFor('early')
    stand.open()
    t.equal(stand.socket.sent.length, 1, 'not before the hand-over')
    stand.ack('fresh', { at: 1, messages: 1 })
    stand.snapshot('other', 'planned', 1)
    t.match(stand.socket.last('mission_get'), { missionId: 'early' })
    answer(stand, { status: 'completed', seq: 3 })
    t.match(await early, { status: 'completed', missionId: 'early' })
    const none = stand.client.waitFor('none')
    stand.clock.advance(50)
    await settle()
    answer(stand)
    t.match(await refusal(none), { code: 'MC_CLIENT_NOT_FOUND', message: 'none' })
  })

  t.test('asks for one mission after the other and not without pause', async (t) => {
    const stand = await startOpen(t)
    const waits = [...'abc'].map((id) => refusal(stand.client.waitFor(id)))
    const asked = () => stand.socket.sent.filter(({ type }) => type === 'mission_get').map(({ missionId }) => missionId)
    t.strictSame(asked(), ['a'])
    answer(stand)
    await settle()
    t.strictSame(asked(), ['a'])
    for (const known of [['a', 'b'], ['a', 'b', 'c']]) {
      stand.clock.advance(50)
      await settle()
      t.strictSame(asked(), known)
      answer(stand)
      await settle()
    }
    t.strictSame((await Promise.all(waits)).map(({ code }) => code), Array(3).fill('MC_CLIENT_NOT_FOUND'))
  })

  t.test('hears that a mission is lost after a restart', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    const lost = stand.client.waitFor('a')
    await reopen(stand)
    stand.ack('gap', { at: 0, messages: 0, gap: { cause: 'epoch_changed' } })
    t.equal(stand.told.at(-1), 'lost a')
    answer(stand)
    t.match(await refusal(lost), { code: 'MC_CLIENT_LOST', message: 'a' })
  })

  t.test('that was just started waits for its first update, over this connection', async (t) => {
    const stand = await startOpen(t)
    const started = stand.client.start('go')
    stand.say('mission_ack', { replyTo: stand.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const ending = stand.client.waitFor('m')
    stand.say('heartbeat', { intervalMs: 30_000 })
    t.notOk(stand.socket.sent.some(({ type }) => type === 'mission_get'))
    stand.update('m', 'completed', 1, 1)
    t.match(await ending, { status: 'completed' })
    const again = stand.client.start('go')
    stand.say('mission_ack', { replyTo: stand.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    t.match(await stand.client.waitFor((await again).missionId), { status: 'completed' }, 'one that was known is not waited for')
  })

  t.test('that was started and is still not heard of at the second heartbeat has the service asked', async (t) => {
    const stand = await startOpen(t)
    const started = stand.client.start('go')
    stand.say('mission_ack', { replyTo: stand.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const ending = stand.client.waitFor('m')
    for (const asked of [false, true]) {
      stand.say('heartbeat', { intervalMs: 30_000 })
      t.equal(stand.socket.sent.some(({ type }) => type === 'mission_get'), asked)
    }
    answer(stand, { status: 'completed', seq: 2 })
    t.match(await ending, { status: 'completed' })
  })

  t.test('asks nothing over a connection that has not been handed over', async (t) => {
    const stand = await startOpen(t)
    const waits = ['a', 'b'].map((id) => refusal(stand.client.waitFor(id)))
    answer(stand)
    await settle()
    stand.cut()
    stand.clock.advance(10_000)
    await settle()
    stand.open()
    t.strictSame(stand.socket.sent.map(({ type }) => type), ['subscribe'])
    stand.ack('resumed', { at: 0, messages: 0 })
    answer(stand)
    for (const wait of waits) t.match(await wait, { code: 'MC_CLIENT_NOT_FOUND' })
  })

  t.test('that was started and then never heard of is lost', async (t) => {
    const stand = await startOpen(t)
    const started = stand.client.start('go')
    stand.say('mission_ack', { replyTo: stand.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const lost = stand.client.waitFor('m')
    await reopen(stand)
    stand.ack('resumed', { at: 0, messages: 0 })
    answer(stand)
    t.match(await refusal(lost), { code: 'MC_CLIENT_LOST' })
  })

  t.test('that is hidden by the filter is asked for at the heartbeats', async (t) => {
    const stand = await startOpen(t, { filter: { names: ['other'] } })
    const ending = stand.client.waitFor('m')
    answer(stand, { status: 'planned', seq: 1 })
    await settle()
    stand.clock.advance(50)
    const asked = () => stand.socket.sent.filter(({ type }) => type === 'mission_get').length
    t.equal(asked(), 1)
    stand.say('heartbeat', { intervalMs: 30_000 })
    t.equal(asked(), 2)
    stand.cut()
    stand.clock.advance(30_000)
    await settle()
    stand.open()
    stand.ack('resumed', { at: 0, messages: 0 })
    stand.clock.advance(50)
    await settle()
    answer(stand, { status: 'completed', seq: 2 })
    t.match(await ending, { status: 'completed' })
    t.strictSame(stand.told.filter((text) => text.includes(' m ')), [], 'a filter is a filter')
  })

  t.test('is not misled by an answer that crosses an update', async (t) => {
    const stand = await startOpen(t)
    const ending = stand.client.waitFor('m')
    stand.update('m', 'planned', 1, 1)
    answer(stand)
    await settle()
    stand.update('m', 'completed', 2, 2)
    t.match(await ending, { status: 'completed' })
  })

  t.test('may set a time, or think otherwise', async (t) => {
    const stand = await startOpen(t)
    stand.update('m', 'planned', 1, 1)
    const timed = stand.client.waitFor('m', { timeoutMs: 100 })
    stand.clock.advance(100)
    t.match(await refusal(timed), { code: 'MC_CLIENT_TIMEOUT', message: 'm' })
    const abort = new AbortController()
    const stopped = stand.client.waitFor('m', { signal: abort.signal })
    abort.abort('enough')
    t.match(await refusal(stopped), { code: 'MC_CLIENT_ABORTED', cause: 'enough' })
    t.match(await refusal(stand.client.waitFor('m', { signal: abort.signal })), { code: 'MC_CLIENT_ABORTED' })
    const signal = Object.assign(new FakeTarget(), { aborted: false })
    const patient = stand.client.waitFor('m', { timeoutMs: 100, signal })
    t.equal(signal.count, 1)
    stand.update('m', 'completed', 2, 2)
    t.match(await patient, { status: 'completed' })
    t.equal(signal.count, 0, 'nothing is left at the signal')
  })

  t.test('may wait for ever by the real clock', async (t) => {
    const client = connect('ws://a.example', { WebSocket: FakeSocket })
    const wait = refusal(client.waitFor('m', { timeoutMs: Infinity }))
    // Behind a timer of 1 ms, which is what a time that is too long would become.
    await new Promise((resolve) => { setTimeout(resolve, 2) })
    client.close()
    t.match(await wait, { code: 'MC_CLIENT_CLOSED' })
  })

  t.test('hears when the client is closed', async (t) => {
    const stand = await startOpen(t)
    const waits = ['a', 'a', 'b'].map((id) => refusal(stand.client.waitFor(id)))
    stand.client.close()
    for (const wait of waits) t.match(await wait, { code: 'MC_CLIENT_CLOSED' })
  })
})

t.test('who iterates over missions', async (t) => {
  const names = (updates: ReadonlyArray<{ missionId: string, status: string, seq: number }>) => updates.map(({ missionId, status, seq }) => `${status} ${missionId} ${seq}`)

  t.test('gets the active ones as they are, then every update, until the client is closed', async (t) => {
    const stand = await startOpen(t)
    stand.update('over', 'completed', 1, 1)
    stand.update('a', 'planned', 1, 2, { tags: ['x'] })
    const got: string[] = []
    const first = defer<unknown>()
    const done = (async () => {
      for await (const update of stand.client.missions()) {
        got.push(...names([update]))
        first.resolve(update)
      }
    })()
    t.match(await first.promise, { missionId: 'a', tags: ['x'], snapshot: true })
    stand.update('a', 'completed', 2, 3)
    stand.update('b', 'planned', 1, 4)
    await settle()
    stand.client.close()
    await done
    t.strictSame(got, ['planned a 1', 'completed a 2', 'planned b 1'])
  })

  t.test('slowly gets the newest progress of each mission and every other update', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    const updates = stand.client.missions()
    const read = async () => names([(await updates.next()).value!])[0]
    t.equal(await read(), 'planned a 1')
    for (let seq = 2; seq < 100; seq++) stand.update('a', 'execution_progress', seq, undefined, { metadata: seq })
    stand.update('b', 'execution_progress', 1)
    stand.update('a', 'execution_progress', 100, 2)
    stand.update('a', 'execution_progress', 101)
    t.equal(await read(), 'execution_progress a 99')
    stand.update('a', 'execution_progress', 102)
    stand.update('b', 'execution_progress', 2)
    stand.update('a', 'completed', 103, 3)
    const rest = [await read(), await read(), await read(), await read()]
    t.strictSame(rest, ['execution_progress b 2', 'execution_progress a 100', 'execution_progress a 102', 'completed a 103'])
    stand.update('c', 'execution_progress', 1)
    t.equal(await read(), 'execution_progress c 1')
    stand.update('c', 'execution_progress', 2)
    t.equal(await read(), 'execution_progress c 2')
    await updates.return!()
    stand.update('c', 'execution_progress', 3)
    t.match(await updates.next(), { done: true })
  })

  t.test('of one id gets that one until after its ending', async (t) => {
    const stand = await startOpen(t)
    stand.update('a', 'planned', 1, 1)
    const got: string[] = []
    const done = (async () => { for await (const update of stand.client.missions({ id: 'a' })) got.push(...names([update])) })()
    await settle()
    stand.update('b', 'planned', 1, 2)
    stand.update('a', 'execution_progress', 2)
    stand.update('a', 'cancelled', 3, 3)
    stand.update('a', 'planning_started', 1, 4)
    await done
    t.strictSame(got, ['planned a 1', 'execution_progress a 2', 'cancelled a 3'])
    const one = stand.client.missions({ id: 'b' })
    t.match(await one.next(), { done: false, value: { status: 'planned' } })
    await one.return!()
    stand.update('b', 'completed', 2, 5)
    const over: unknown[] = []
    for await (const update of stand.client.missions({ id: 'b' })) over.push(update)
    t.match(over, [{ status: 'completed', snapshot: true }])
  })

  t.test('of one id fails if there is no such mission, and ends with one that a filter hides', async (t) => {
    const stand = await startOpen(t, { filter: { tags: ['x'] } })
    const none = refusal(stand.client.missions({ id: 'none' }).next())
    await settle()
    stand.say('protocol_error', { replyTo: stand.socket.last('mission_get').id, error: { code: 'unknown_mission', message: 'None.' } })
    t.match(await none, { code: 'MC_CLIENT_NOT_FOUND' })
    stand.clock.advance(50)
    await settle()
    const hidden = stand.client.missions({ id: 'hidden' }).next()
    await settle()
    stand.say('mission_update', { replyTo: stand.socket.last('mission_get').id, payload: { missionId: 'hidden', status: 'error', name: 'import', seq: 4, snapshot: true } })
    t.match(await hidden, { done: false, value: { status: 'error' } })
  })
})

t.test('with a storage', async (t) => {
  t.test('a reload resumes from the cursor with the states, and what was missed comes once and before them', async (t) => {
    const storage = new MemoryStorage()
    const before = await startOpen(t, { storage, storageKey: 'key' })
    before.update('a', 'planned', 1, 1)
    before.update('b', 'planned', 1, 2)
    t.equal(storage.writes, 0)
    before.clock.advance(500)
    t.equal(storage.writes, 1, 'not with each message')
    before.update('c', 'planned', 1, 3)
    before.window.fire('pagehide')
    t.equal(storage.writes, 2, 'but before the page goes')
    t.strictSame(JSON.parse(storage.values.get('key')!), { mission_update: cursor(3) })

    const stand = await start(t, { storage, storageKey: 'key' })
    t.match(stand.open(), { since: { mission_update: cursor(3) }, snapshot: true })
    stand.told.length = 0
    stand.ack('resumed', { at: 6, messages: 6 })
    stand.snapshot('b', 'execution_progress', 7)
    stand.snapshot('d', 'execution_started', 2)
    stand.update('a', 'completed', 2, 4, { endedAt: 4 })
    stand.update('d', 'planning_started', 1, 5)
    stand.snapshot('c', 'planned', 1)
    stand.update('d', 'execution_started', 2, 6)
    t.strictSame(stand.told, ['completed a 2', 'planning_started d 1', 'execution_started d 2', 'execution_progress b 7', 'planned c 1'])
    t.strictSame(stand.client.cursors.mission_update, cursor(6))
    await reopen(stand)
    t.notOk('snapshot' in stand.socket.last('subscribe'), 'the state is there now')
  })

  t.test('a mission that is missed but not among the states is lost', async (t) => {
    const stand = await start(t, { storage: { getItem: () => JSON.stringify({ mission_update: cursor(3) }), setItem () {} } })
    stand.open()
    stand.ack('resumed', { at: 4, messages: 2 })
    stand.snapshot('b', 'planned', 1)
    stand.update('a', 'planned', 1, 4)
    t.strictSame(stand.told.slice(1), ['planned a 1', 'planned b 1', 'lost a'])
  })

  t.test('that holds something else, the client starts afresh', async (t) => {
    const good = { epoch: 'e', offset: 1, id: 'i' }
    for (const value of ['', '{', 'null', '5', '[]', ...[
      { ...good, epoch: '' }, { ...good, epoch: 5 }, { ...good, offset: -1 }, { ...good, offset: 1.5 }, { ...good, offset: '1' }, { ...good, id: 7 },
      { ...good, id: 'x'.repeat(129) }, { ...good, epoch: 'x'.repeat(65) }, null, 'e'
    ].map((broken) => JSON.stringify({ mission_update: broken }))]) {
      const stand = await start(t, { storage: { getItem: () => value, setItem () {} } })
      t.notOk('since' in stand.open(), value)
      t.strictSame(stand.errors, [])
    }
    const stand = await start(t, { storage: { getItem: () => JSON.stringify({ mission_update: { ...good, more: 1 }, health_delta: good, metrics_tick: good }), setItem () {} }, channels: ['mission_update', 'metrics_tick'] })
    t.strictSame(stand.open()['since'], { mission_update: good }, 'what does not belong there is not sent')
  })

  t.test('that throws, it is told and all else goes on', async (t) => {
    const failure = new Error('quota')
    const stand = await start(t, { storage: { getItem () { throw failure }, setItem () { throw failure } } })
    stand.open()
    stand.ack('fresh', { at: 1, messages: 0 })
    stand.clock.advance(500)
    await settle()
    t.match(stand.errors, [{ code: 'MC_CLIENT_STORAGE_FAILED', cause: failure }, { code: 'MC_CLIENT_STORAGE_FAILED', cause: failure }])
    t.equal(stand.client.state, 'open')
  })
})

t.test('the types', async (t) => {
  t.test('refuse wrong names of channels, fields and options', async (t) => {
    const stand = await start(t)
    // Never called: the compiler is what tests it.
    const misuse = (client: Client): void => {
      client.on('mission_update', ({ missionId, status }, message) => [missionId satisfies string, status satisfies string, message.position?.offset satisfies number | undefined])
      client.on('health_delta', ({ health }) => health.components)
      client.on('gap', ({ channel, cause }) => [channel, cause])
      client.missionsState.get('a')?.objective satisfies string | undefined
      // @ts-expect-error there is no such channel
      client.on('mission_updates', () => {})
      // @ts-expect-error the payload has no such field
      client.on('mission_update', ({ mission }) => mission)
      // @ts-expect-error that is a field of another channel
      client.on('mission_stats', ({ missionId }) => missionId)
      // @ts-expect-error no channel of that name
      connect('ws://a.example', { channels: ['mission_news'] })
      // @ts-expect-error no option of that name
      connect('ws://a.example', { heartbeat: 1 })
      // @ts-expect-error no status of that name
      connect('ws://a.example', { filter: { statuses: ['running'] } })
      // @ts-expect-error it is to be read only
      client.missionsState.delete('a')
      // @ts-expect-error a time in ms is a number
      client.waitFor('a', { timeoutMs: '1 s' })
      connect('ws://a.example', { WebSocket: WsWebSocket })
    }
    t.type(misuse, 'function')
    t.equal(stand.client.state, 'connecting')
  })

  t.test('are at home in a page: they need no types of Node.js, and take what a browser has', async (t) => {
    const path = resolve(fileURLToPath(import.meta.url), '../in-a-page.ts')
    const text = `
      import { connect, type Client } from '../lib/client/index.js'
      const client: Client = connect('/ws', { WebSocket, storage: sessionStorage, document, window, getToken: async () => 'token' })
      const abort = new AbortController()
      client.waitFor('a', { signal: abort.signal }).then(({ status }) => { document.title = status })
      client.waitFor('a', { signal: AbortSignal.timeout(1_000) })
      for await (const { name } of client.missions()) document.title = name`
    const options: ts.CompilerOptions = {
      lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
      types: [],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext
    }
    const host = ts.createCompilerHost(options)
    const { getSourceFile, fileExists } = host
    host.fileExists = (name) => name === path || fileExists.call(host, name)
    host.getSourceFile = (name, ...rest) => name === path
      ? ts.createSourceFile(name, text, { languageVersion: ts.ScriptTarget.ES2022, impliedNodeFormat: ts.ModuleKind.ESNext })
      : getSourceFile.call(host, name, ...rest)
    const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([path], options, host))
    t.strictSame(diagnostics.map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`), [])
  })
})
