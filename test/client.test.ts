import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import ts from 'typescript'
import { WebSocket as WsWebSocket } from 'ws'
import { connect, ClientError, type Client, type ClientOptions, type StorageLike } from '../lib/client/index.js'
import { CLIENT_EVENTS } from '../lib/client/channels.js'
import { CLOSE_CODES, MISSION_STATUSES, missionChecksum } from '../schemas/index.js'
import { cursor, FakeSocket, FakeTarget, connectClient, connectSubscribed, type FakeService } from './support/fake-service.js'
import { uncaught } from './support/app.js'
import { defer, settle } from './support/missions.js'

/** Returns the error that a promise rejects with. */
async function refusal (promise: Promise<unknown>): Promise<ClientError> {
  try {
    await promise
  } catch (err) {
    return err as ClientError
  }
  throw new Error('the promise did not reject')
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
  t.test('of any class count, and a method keeps its object', async (t) => {
    const sockets: FakeSocket[] = []
    class Socket extends FakeSocket {
      constructor (url: string, protocols: string[]) {
        super(url, protocols)
        sockets.push(this)
      }
    }
    class Options {
      readonly WebSocket = Socket
      readonly #token = 'secret'
      get channels (): ['mission_stats'] { return ['mission_stats'] }
      getToken (): string { return this.#token }
    }
    for (const options of [new Options(), Object.create(new Options(), { getToken: { value: () => 'secret' } })]) {
      const client = connect('ws://service.example/ws', options)
      await settle()
      const socket = sockets.pop()!
      t.equal(socket.protocols[1], 'secret')
      socket.fire('open')
      t.strictSame(socket.last('subscribe').channels, ['mission_stats'])
      client.close()
    }
  })

  t.test('an invalid or unknown option throws at once and is named', async (t) => {
    const WebSocket = FakeSocket
    // Node.js 22 and later have a built-in class that the client would use by default.
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
      ['channels', 'ws://a.example', { WebSocket, channels: ['mission_stats', 'mission_update', 'mission_stats'] }], ['channels', 'ws://a.example', { WebSocket, channels: {} }],
      ['chanels', 'ws://a.example', { WebSocket, chanels: ['mission_stats'] }], ['channels', 'ws://a.example', { WebSocket, channels: null }],
      ['filter', 'ws://a.example', { WebSocket, filter: null }], ['filter.0', 'ws://a.example', { WebSocket, filter: ['a'] }],
      ['filter', 'ws://a.example', { WebSocket, filter: { names: ['é'.repeat(250)], missionIds: Array(60).fill('x'.repeat(250)) } }],
      ['filter.tag', 'ws://a.example', { WebSocket, filter: { tag: ['a'] } }], ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: [] } }],
      ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: 'a' } }], ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: null } }],
      ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: [''] } }], ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: ['x'.repeat(257)] } }],
      ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: [5] } }], ['filter.tags', 'ws://a.example', { WebSocket, filter: { tags: Array(17).fill('a') } }],
      ['filter.names', 'ws://a.example', { WebSocket, filter: { names: Array(17).fill('a') } }], ['filter.missionIds', 'ws://a.example', { WebSocket, filter: { missionIds: Array(65).fill('a') } }],
      ['filter.statuses', 'ws://a.example', { WebSocket, filter: { statuses: ['running'] } }], ['filter.toString', 'ws://a.example', { WebSocket, filter: { toString: ['a'] } }],
      ['filter.statuses', 'ws://a.example', { WebSocket, filter: { statuses: Array(9).fill('planned') } }],
      ['latency', 'ws://a.example', { WebSocket, latency: ['histogram'] }], ['latency', 'ws://a.example', { WebSocket, channels: ['metrics_tick'], latency: [] }],
      ['latency', 'ws://a.example', { WebSocket, channels: ['metrics_tick'], latency: ['p95'] }], ['latency', 'ws://a.example', { WebSocket, channels: ['metrics_tick'], latency: ['operations', 'operations'] }],
      ['random', 'ws://a.example', { WebSocket, random: 0.5 }], ['heartbeat', 'ws://a.example', { WebSocket, heartbeat: 1_000 }]
    ]
    for (const [name, url, options] of cases) {
      t.throws(() => connect(url, options as ClientOptions), { code: 'MC_CLIENT_INVALID_OPTION', message: name }, `${name} in ${JSON.stringify(options)}`)
    }
    t.ok(new ClientError('LOST', 'a') instanceof Error)
  })

  t.test('a filter may have the longest lists that a service accepts, and undefined means that a list is not given', async (t) => {
    const filter = { missionIds: Array<string>(64).fill('m'.repeat(100)), names: Array<string>(16).fill('n'.repeat(256)), tags: ['ü\n'], statuses: [...MISSION_STATUSES] }
    const service = await connectClient(t, { filter: { ...filter, tags: undefined } as unknown as { names: string[] }, storage: undefined } as unknown as ClientOptions)
    const { tags: _, ...given } = filter
    t.strictSame(service.open()['filter'], given)
    t.strictSame((await connectClient(t, { filter: { tags: filter.tags } })).open()['filter'], { tags: filter.tags })
  })

  t.test('a listener for a channel that the client does not have, or for no event, throws at once', async (t) => {
    const { client } = await connectClient(t, { channels: ['mission_update', 'mission_stats'] })
    for (const name of ['health_delta', 'mission_updates', 'toString', 'State']) {
      t.throws(() => client.on(name as 'error', () => {}), { code: 'MC_CLIENT_INVALID_OPTION', message: name })
    }
    t.throws(() => client.on('error', 'log' as never), { code: 'MC_CLIENT_INVALID_OPTION', message: 'error' })
    for (const name of ['mission_stats', ...CLIENT_EVENTS] as const) t.type(client.on(name as 'error', () => {}), 'function')
  })

  t.test('defaults are mission_update, a storage key made from the URL, and 30 s', async (t) => {
    const storage = new MemoryStorage()
    const service = await connectClient(t, { storage, channels: undefined, heartbeatMs: undefined } as unknown as ClientOptions)
    t.match(service.open(), { type: 'subscribe', channels: ['mission_update'] })
    service.ack('fresh', { at: 4 })
    service.client.close()
    t.strictSame([...storage.values.keys()], ['mission-control ws://service.example/ws'])
  })

  t.test('the globals of the page are used, and relative URLs are resolved against it', async (t) => {
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

t.test('the first catch-up', async (t) => {
  t.test('starts when the socket opens and is complete with its last message', async (t) => {
    const service = await connectClient(t, { filter: { names: ['import'] } })
    let isReady = false
    service.client.ready.then(() => { isReady = true })
    t.strictSame([service.client.state, service.client.cause], ['connecting', 'start'])
    t.strictSame(service.open(), { type: 'subscribe', id: 'i-1', channels: ['mission_update'], filter: { names: ['import'] } })
    service.ack('fresh', { at: 7, messages: 2 })
    service.snapshot('a', 'planned', 3, { tags: ['nightly'], startedAt: 5 })
    await settle()
    t.notOk(isReady)
    t.strictSame(service.emitted, ['open: connected'], 'snapshots are emitted when all have arrived')
    service.snapshot('b', 'execution_progress', 9)
    await settle()
    t.ok(isReady)
    t.strictSame(service.emitted, ['open: connected', 'planned a 3', 'execution_progress b 9'])
    t.strictSame(service.client.cursors, { mission_update: cursor(7) })
    t.match(service.client.missionsState.get('a'), { missionId: 'a', tags: ['nightly'], startedAt: 5 })
    t.notOk('snapshot' in service.client.missionsState.get('a')!)
  })

  t.test('of several channels is complete after the last one; a channel without a message log needs only its ack', async (t) => {
    const service = await connectClient(t, { channels: ['mission_stats', 'health_delta', 'mission_update'], filter: { tags: ['a'] } })
    const stats: number[] = []
    service.client.on('mission_stats', ({ active }, message) => { stats.push(active, message.unix) })
    const health: string[] = []
    service.client.on('health_delta', ({ status }) => { health.push(status) })
    service.open()
    service.ack('fresh', { channel: 'mission_stats' })
    service.send('mission_stats', { payload: { active: 3 } })
    service.ack('fresh', { channel: 'health_delta', at: 1, messages: 1 })
    service.send('health_delta', { payload: { status: 'healthy', snapshot: true } })
    let isReady = false
    service.client.ready.then(() => { isReady = true })
    await settle()
    t.notOk(isReady)
    service.ack('fresh', { at: 0, messages: 0 })
    await settle()
    t.ok(isReady)
    t.strictSame([stats, health], [[3, 0], ['healthy']])
    t.strictSame(service.client.cursors, { health_delta: cursor(1), mission_update: cursor(0) })
  })

  t.test('does not happen with a service whose acks announce no messages', async (t) => {
    const service = await connectClient(t)
    service.open()
    service.ack()
    service.update('a', 'planned', 1)
    await service.client.ready
    t.strictSame(service.emitted.slice(1), ['planned a 1'])
    service.send('heartbeat', { intervalMs: 1_000, heads: { mission_update: cursor(3), health_delta: cursor(1) } })
    t.strictSame(service.client.cursors, { mission_update: cursor(3) })
  })

  t.test('a refusal is an error event and rejects ready, and the other channels continue', async (t) => {
    const service = await connectClient(t, { channels: ['mission_update', 'mission_stats'] })
    const asked = service.open()
    service.ack('fresh', { channel: 'mission_stats' })
    service.send('subscription_error', { replyTo: asked.id, error: { code: 'forbidden', message: 'No.', position: 0 } })
    t.match(await refusal(service.client.ready), { code: 'MC_CLIENT_REFUSED', reason: 'forbidden', message: 'No.' })
    t.match(service.errors, [{ code: 'MC_CLIENT_REFUSED', reason: 'forbidden' }])
    service.send('protocol_error', { error: { code: 'rate_limited', message: 'Slow down.' } })
    t.match(service.errors[1], { code: 'MC_CLIENT_REFUSED', reason: 'rate_limited' })
  })

  t.test('of one channel continues while another channel is refused', async (t) => {
    const service = await connectClient(t, { channels: ['mission_update', 'mission_stats'] })
    const asked = service.open()
    service.ack('fresh', { at: 1, messages: 2 })
    service.snapshot('a', 'planned', 1)
    service.send('subscription_error', { replyTo: asked.id, error: { code: 'forbidden', message: 'No.', position: 1 } })
    service.snapshot('b', 'planned', 1)
    t.match(await refusal(service.client.ready), { reason: 'forbidden' })
    t.strictSame(service.emitted, ['open: connected', 'planned a 1', 'planned b 1'])
  })
})

t.test('messages', async (t) => {
  t.test('updates of a mission arrive once and in order, even if the service repeats them', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planning_started', 1, 1, { objective: 'all of it', tags: ['x'] })
    service.update('a', 'planning_started', 1, 1)
    service.update('a', 'execution_progress', 2, undefined, { progress: { taskId: 't', index: 1, total: 2, status: 'done' } })
    service.update('a', 'execution_progress', 2)
    service.update('a', 'completed', 3, 2, { durationMs: 5, endedAt: 9, previousStatus: 'execution_progress' })
    service.update('a', 'execution_progress', 4)
    service.snapshot('a', 'completed', 3, { endedAt: 9 })
    t.strictSame(service.emitted, ['planning_started a 1', 'execution_progress a 2', 'completed a 3'])
    t.strictSame(service.client.missionsState.get('a'), {
      missionId: 'a',
      status: 'completed',
      name: 'import',
      seq: 3,
      objective: 'all of it',
      tags: ['x'],
      progress: { taskId: 't', index: 1, total: 2, status: 'done' },
      durationMs: 5,
      endedAt: 9
    }, 'fields of earlier updates are kept')
    t.strictSame(service.client.cursors.mission_update, cursor(2))
  })

  t.test('fields that describe only one moment are not kept', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1, { stalled: true, waiting: 'for approval', error: 'm', errorCode: 'E', errorCauses: ['C'], tasks: [], tasksOmitted: 1, statusTimes: [] })
    t.match(service.client.missionsState.get('a'), { stalled: true, waiting: 'for approval', errorCauses: ['C'], tasksOmitted: 1 })
    service.update('a', 'execution_progress', 2, undefined, { error: 'other', errorCode: 'E' })
    t.strictSame(Object.keys(service.client.missionsState.get('a')!), ['missionId', 'status', 'name', 'seq', 'error', 'errorCode'])
  })

  t.test('nothing of an attempt is kept in the next one, even if its ending was missed', async (t) => {
    const service = await connectSubscribed(t)
    const cancel = { requested: true, kind: 'request', reason: null, by: null }
    service.update('a', 'planned', 1, 1, { cancel, error: 'm', errorCode: 'E' })
    service.update('a', 'planning_started', 4, 2, { attempt: 2, startedAt: 5 })
    t.strictSame(service.client.missionsState.get('a'), { missionId: 'a', status: 'planning_started', name: 'import', seq: 4, attempt: 2, startedAt: 5 })
    service.update('a', 'planned', 5, 3, { attempt: 2, cancel })
    t.match(service.client.missionsState.get('a'), { status: 'planned', attempt: 2, startedAt: 5, cancel }, 'within an attempt it is')
  })

  t.test('two attempts that end alike at the same time are two endings', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'error', 2, 1, { error: 'm', errorCode: 'E', endedAt: 1 })
    service.update('a', 'error', 3, 2, { error: 'n', errorCode: 'E', endedAt: 1, attempt: 2 })
    t.match(service.client.missionsState.get('a'), { attempt: 2, error: 'n' })
    service.update('a', 'error', 3, 3, { error: 'n', errorCode: 'E', endedAt: 1, attempt: 2, snapshot: true })
    t.equal(service.client.missionsState.get('a')!.seq, 3)
  })

  t.test('an id that is used again starts a new mission', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'error', 2, 1, { error: 'm', errorCode: 'E', endedAt: 1 })
    service.update('a', 'planning_started', 1, 2)
    t.strictSame(service.client.missionsState.get('a'), { missionId: 'a', status: 'planning_started', name: 'import', seq: 1 })
    service.update('a', 'error', 2, 3, { endedAt: 2 })
    t.strictSame(service.emitted, ['error a 2', 'planning_started a 1', 'error a 2'])
  })

  t.test('unknown messages and late replies are ignored, and unreadable ones are error events', async (t) => {
    const service = await connectSubscribed(t)
    service.send('mission_news', { payload: {} })
    service.send('constructor', { payload: {} })
    service.send('pong', { replyTo: 'i-99' })
    service.send('mission_update', { replyTo: 'i-99', payload: { missionId: 'a', status: 'planned', name: 'import', seq: 1, snapshot: true } })
    service.send('subscription_ack', { replyTo: 'i-98', payload: { channel: 'mission_update', status: 'subscribed', outcome: 'gap' } })
    service.send('subscription_ack', { payload: { channel: 'mission_stats', status: 'unsubscribed' } })
    service.send('subscription_gap', { payload: { channel: 'mission_stats', cause: 'overflow' } })
    t.strictSame([service.emitted, service.errors], [[], []])
    service.socket.fire('message', { data: '{' })
    service.socket.fire('message', { data: 'null' })
    t.match(service.errors, [{ code: 'MC_CLIENT_BAD_MESSAGE' }, { code: 'MC_CLIENT_BAD_MESSAGE' }])
  })

  t.test('a newer protocol is reported once per connection, and known messages still work', async (t) => {
    const service = await connectSubscribed(t)
    service.send('pong', { protocolVersion: 2 })
    service.send('mission_update', { protocolVersion: 2, payload: { missionId: 'a', status: 'planned', name: 'import', seq: 1, shape: 'new' } })
    t.strictSame(service.emitted, ['version 2', 'planned a 1'])
    service.drop()
    service.clock.advance(1_000)
    await settle()
    service.open()
    service.send('pong', { protocolVersion: 3 })
    t.ok(service.emitted.includes('version 3'))
  })

  t.test('a message reaches the other listeners when one throws, and the error is emitted', async (t) => {
    const service = await connectSubscribed(t)
    const failure = new Error('of a listener')
    const received: string[] = []
    const stop = service.client.on('mission_update', () => { throw failure })
    service.client.on('mission_update', ({ missionId }) => { received.push(missionId) })
    service.update('a', 'planned', 1, 1)
    t.strictSame(received, ['a'])
    t.match(service.errors, [{ code: 'MC_CLIENT_LISTENER_FAILED', cause: failure }])
    stop()
    service.update('a', 'execution_started', 2, 2)
    t.equal(service.errors.length, 1)
  })

  t.test('what a listener rejects with is emitted', async (t) => {
    const service = await connectSubscribed(t)
    const failure = new Error('of a listener')
    service.client.on('mission_update', async () => { throw failure })
    service.client.on('mission_update', () => ({ then: 'not a promise' }))
    service.update('a', 'planned', 1, 1)
    await new Promise((resolve) => setImmediate(resolve))
    t.match(service.errors, [{ code: 'MC_CLIENT_LISTENER_FAILED', cause: failure }])
    t.equal(service.errors.length, 1)
  })

  t.test('a listener that is added or removed by another one is not called for the same message', async (t) => {
    const service = await connectSubscribed(t)
    const called: string[] = []
    let remove = (): void => {}
    service.client.on('mission_update', () => {
      called.push('first')
      service.client.on('mission_update', () => { called.push('added') })
      remove()
    })
    remove = service.client.on('mission_update', () => { called.push('removed') })
    service.update('a', 'planned', 1, 1)
    t.strictSame(called, ['first'])
    service.update('a', 'execution_started', 2, 2)
    t.strictSame(called, ['first', 'first', 'added'])
  })

  t.test('an error of a listener reaches the global handler without a listener for errors, or from one', async (t) => {
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

  t.test('no message arrives after a listener has closed the client', async (t) => {
    const service = await connectClient(t)
    service.client.on('mission_update', () => service.client.close())
    service.open()
    service.ack('fresh', { at: 2, messages: 2 })
    service.snapshot('a', 'planned', 1)
    service.snapshot('b', 'planned', 1)
    t.strictSame(service.emitted, ['open: connected', 'planned a 1', 'closed: closed'])
  })
})

t.test('after a lost connection', async (t) => {
  t.test('the client resumes from its cursor without a snapshot, and each message arrives once', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    service.drop()
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'close_1006'])
    service.clock.advance(500)
    await settle()
    t.strictSame(service.open(), { type: 'subscribe', id: 'i-2', channels: ['mission_update'], since: { mission_update: cursor(1) } })
    service.emitted.length = 0
    service.ack('resumed', { at: 3, messages: 2 })
    service.update('a', 'execution_started', 2, 2)
    service.update('a', 'completed', 3, 3)
    service.update('b', 'planned', 1, 4)
    t.strictSame(service.emitted, ['execution_started a 2', 'completed a 3', 'planned b 1'])
    t.notOk(service.client.missionsState.get('a')!.status === 'planned')
  })

  t.test('in the middle of a catch-up, the client requests the rest of it', async (t) => {
    const service = await connectClient(t)
    service.open()
    service.ack('fresh', { at: 3, messages: 2 })
    service.snapshot('a', 'planned', 1)
    service.drop()
    service.clock.advance(1_000)
    await settle()
    t.notOk('since' in service.open(), 'the catch-up was not complete')
    service.ack('fresh', { at: 3, messages: 0 })
    service.drop()
    service.clock.advance(1_000)
    await settle()
    service.open()
    service.ack('resumed', { at: 5, messages: 2 })
    service.update('a', 'planned', 1, 4)
    service.drop()
    service.clock.advance(2_000)
    await settle()
    t.match(service.open(), { since: { mission_update: cursor(4) } })
  })

  t.test('with a gap, the cause is emitted, then the snapshot; missions end once and lost ones are removed', async (t) => {
    const service = await connectSubscribed(t)
    service.update('kept', 'planned', 1, 1)
    service.update('ended', 'planned', 1, 2)
    service.update('over', 'completed', 1, 3, { endedAt: 3 })
    service.update('lost', 'planned', 1, 4)
    service.drop()
    service.clock.advance(500)
    await settle()
    service.open()
    service.emitted.length = 0
    service.ack('gap', { at: 90, messages: 4, gap: { cause: 'trimmed', range: { epoch: 'e1', from: 5, to: 9 } } })
    service.snapshot('kept', 'planned', 1)
    service.snapshot('ended', 'cancelled', 5, { endedAt: 4 })
    service.snapshot('over', 'completed', 1, { endedAt: 3 })
    service.snapshot('new', 'execution_progress', 7)
    t.strictSame(service.emitted, ['gap mission_update trimmed', 'cancelled ended 5', 'execution_progress new 7', 'lost lost'])
    t.strictSame([...service.client.missionsState.keys()], ['kept', 'ended', 'over', 'new'])
    service.update('kept', 'completed', 2, 91)
    t.equal(service.emitted.at(-1), 'completed kept 2')
  })

  t.test('and a restart of the service, nothing of the old process is kept and missions still end once', async (t) => {
    const service = await connectSubscribed(t)
    service.update('again', 'execution_progress', 8, 1, { objective: 'old' })
    service.update('over', 'completed', 4, 2, { endedAt: 3 })
    service.update('redone', 'completed', 4, 3, { endedAt: 3 })
    service.drop()
    service.clock.advance(500)
    await settle()
    service.open()
    service.emitted.length = 0
    service.epoch = 'e2'
    service.ack('gap', { at: 2, messages: 3, gap: { cause: 'epoch_changed' } })
    service.snapshot('again', 'planned', 2)
    service.snapshot('over', 'completed', 4, { endedAt: 3 })
    service.snapshot('redone', 'planned', 1)
    t.strictSame(service.emitted, ['gap mission_update epoch_changed', 'planned again 2', 'planned redone 1'])
    t.strictSame(service.client.missionsState.get('again'), { missionId: 'again', status: 'planned', name: 'import', seq: 2 })
    service.update('again', 'execution_started', 3, 3)
    t.equal(service.emitted.at(-1), 'execution_started again 3')
  })

  t.test('or an overflow, a slow client receives the gap and a snapshot', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    service.update('b', 'planned', 1, 2)
    service.emitted.length = 0
    service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 1 } })
    service.snapshot('b', 'execution_started', 4)
    t.strictSame(service.emitted, ['gap mission_update overflow', 'execution_started b 4', 'lost a'])
    t.strictSame(service.client.cursors.mission_update, cursor(9))
  })

  t.test('a snapshot that is older than the known state changes nothing', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    service.update('a', 'execution_progress', 6)
    service.update('b', 'completed', 6, 2, { endedAt: 1 })
    service.emitted.length = 0
    service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(2), messages: 2 } })
    service.snapshot('a', 'execution_progress', 5)
    service.snapshot('b', 'execution_progress', 5)
    t.strictSame(service.emitted, ['gap mission_update overflow'])
    t.match(service.client.missionsState.get('a'), { seq: 6 })
    t.match(service.client.missionsState.get('b'), { status: 'completed' })
  })

  t.test('the last 1,000 ended missions are kept', async (t) => {
    const service = await connectSubscribed(t)
    service.update('active', 'planned', 1, 1)
    for (let at = 0; at <= 1_000; at++) service.update(`m${at}`, 'completed', 1, 2 + at)
    t.equal(service.client.missionsState.size, 1_001)
    t.notOk(service.client.missionsState.has('m0'))
    t.ok(service.client.missionsState.has('active') && service.client.missionsState.has('m1'))
    service.update('m1', 'planned', 1, 1_003)
    for (let at = 0; at <= 1_000; at++) service.update(`n${at}`, 'completed', 1, 1_004 + at)
    t.match(service.client.missionsState.get('m1'), { status: 'planned' }, 'an id that is used again counts as active')
  })
})

t.test('a lost message', async (t) => {
  t.test('is detected by a hole in the positions and requested again, and the order is kept', async (t) => {
    const service = await connectSubscribed(t)
    service.clock.advance(60_000)
    service.update('a', 'planned', 1, 1)
    service.update('a', 'completed', 3, 3)
    t.match(service.socket.sent.slice(-2), [{ type: 'unsubscribe', channels: ['mission_update'] }, { type: 'subscribe', since: { mission_update: cursor(1) } }])
    service.update('b', 'planned', 1, 4)
    service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 0 } })
    t.strictSame(service.emitted.filter((text) => /gap| [ab] /.test(text)), ['planned a 1'], 'messages after the hole are dropped, because they are replayed too')
    service.ack('resumed', { at: 4, messages: 3 })
    service.update('a', 'execution_started', 2, 2)
    service.update('a', 'completed', 3, 3)
    service.update('b', 'planned', 1, 4)
    t.strictSame(service.emitted.filter((text) => / [ab] /.test(text)), ['planned a 1', 'execution_started a 2', 'completed a 3', 'planned b 1'])
    const { length } = service.socket.sent
    service.update('b', 'completed', 3, 9)
    t.equal(service.socket.sent.length, length, 'at most once a minute')
    service.clock.advance(60_000)
    service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(9) } })
    t.match(service.socket.last('subscribe'), { since: { mission_update: cursor(4) } })
  })

  t.test('is detected by the head of a heartbeat', async (t) => {
    for (const head of [cursor(2), cursor(1, 'e2')]) {
      const service = await connectSubscribed(t)
      service.update('a', 'planned', 1, 1)
      service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(1) } })
      t.equal(service.socket.sent.length, 1)
      service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: head } })
      t.match(service.socket.last('subscribe'), { since: { mission_update: cursor(1) } })
      service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: head } })
      t.equal(service.socket.sent.length, 3, 'it is requested once')
    }
  })

  t.test('is not assumed with a filter: the cursor moves to the head', async (t) => {
    const service = await connectSubscribed(t, { filter: { names: ['import'] }, channels: ['health_delta', 'mission_update'] })
    service.update('a', 'planned', 1, 5)
    service.update('a', 'completed', 2, 8)
    t.strictSame(service.emitted, ['planned a 1', 'completed a 2'])
    service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(11) } })
    t.strictSame(service.client.cursors.mission_update, cursor(11))
    service.send('heartbeat', { intervalMs: 60_000, heads: { mission_update: cursor(9) } })
    t.strictSame(service.client.cursors.mission_update, cursor(11), 'a queued heartbeat never moves the cursor backwards')
    t.equal(service.socket.sent.length, 1)
    service.send('health_delta', { position: { epoch: 'e1', offset: 2 }, payload: { status: 'degraded' } })
    t.match(service.socket.last('subscribe'), { channels: ['health_delta'] }, 'the filter applies to one channel only')
    t.notOk('filter' in service.socket.last('subscribe'))
  })

  t.test('is detected by the checksum, reported, and repaired with a new snapshot at most once a minute', async (t) => {
    const service = await connectClient(t)
    service.open()
    const checksum = missionChecksum([{ missionId: 'a', status: 'planned' }])
    service.ack('fresh', { at: 1, messages: 1, checksum })
    service.snapshot('a', 'planned', 1)
    t.strictSame(service.emitted, ['open: connected', 'planned a 1'], 'the checksums match')
    service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: { ...cursor(5), checksum: '2-00000000' }, messages: 1 } })
    service.snapshot('a', 'planned', 1)
    t.equal(service.emitted.at(-1), 'diverged and repaired')
    t.equal(service.socket.sent.at(-2)!.type, 'unsubscribe')
    t.notOk('since' in service.socket.last('subscribe'))
    t.match(service.socket.last('subscribe'), { endings: 100 }, 'it may have missed endings')
    t.notOk('endings' in service.socket.sent[0]!, 'the first subscription requests none')
    service.ack('fresh', { at: 5, messages: 1, checksum: '2-00000000' })
    service.snapshot('a', 'planned', 1)
    t.equal(service.emitted.at(-1), 'diverged and left')
    t.strictSame(service.client.cursors.mission_update, cursor(5))
    t.equal(service.socket.sent.length, 3)
  })
})

t.test('a filter by status', async (t) => {
  t.test('emits a mission that stops to match once more and then removes it', async (t) => {
    const service = await connectSubscribed(t, { filter: { statuses: ['execution_progress', 'execution_started'] } })
    service.update('a', 'execution_started', 2, 1)
    t.ok(service.client.missionsState.has('a'))
    const ending = service.client.waitFor('a')
    service.update('a', 'planned', 3, 2)
    t.notOk(service.client.missionsState.has('a'))
    t.strictSame(service.emitted, ['execution_started a 2', 'planned a 3'])
    service.send('heartbeat', { intervalMs: 30_000, heads: {} })
    const asked = service.socket.last('mission_get')
    t.match(asked, { missionId: 'a' }, 'a pending waitFor looks the mission up')
    service.send('mission_update', { replyTo: asked.id, payload: { missionId: 'a', status: 'completed', name: 'import', seq: 4, snapshot: true } })
    t.match(await ending, { status: 'completed' })
    t.notOk(service.client.missionsState.has('a'))
    service.update('b', 'execution_started', 2, 3)
    service.update('b', 'error', 3, 4)
    t.match(service.client.missionsState.get('b'), { status: 'error' })
  })
})

/** Drops the newest connection and opens the next one. */
async function reopen (service: FakeService): Promise<void> {
  service.drop()
  service.clock.advance(30_000)
  await settle()
  service.open()
}

t.test('the connection', async (t) => {
  t.test('is retried after a random delay that grows, and is reset after a stable minute', async (t) => {
    const service = await connectClient(t)
    const waits: number[] = []
    const waitFor = async (ms: number): Promise<void> => {
      const { length } = service.sockets
      service.clock.advance(ms - 1)
      await settle()
      t.equal(service.sockets.length, length, `not before ${ms} ms`)
      service.clock.advance(1)
      await settle()
      t.equal(service.sockets.length, length + 1, `after ${ms} ms`)
      waits.push(ms)
    }
    for (const [random, ms] of [[0.9, 900], [0.9, 900], [0.5, 1_000], [0.5, 2_000], [0.5, 4_000], [0.5, 8_000], [0.5, 15_000], [0.9, 27_000]] as const) {
      service.randoms.push(random)
      service.drop()
      t.strictSame([service.client.state, service.client.cause], ['waiting', 'unreachable'])
      await waitFor(ms)
    }
    service.open()
    service.clock.advance(59_999)
    service.randoms.push(0.8)
    service.drop()
    await waitFor(24_000)
    service.open()
    service.clock.advance(60_000)
    service.randoms.push(0.4)
    service.drop()
    await waitFor(400)
  })

  t.test('is reopened as the close code says: now, later or never', async (t) => {
    for (const [reason, { code, reconnect }] of Object.entries(CLOSE_CODES)) {
      const service = await connectSubscribed(t)
      service.drop(code, reason)
      t.equal(service.client.cause, reason)
      const { length } = service.sockets
      service.clock.advance(0)
      await settle()
      t.equal(service.sockets.length - length, reconnect === 'now' ? 1 : 0, `${reason}, at once`)
      service.clock.advance(14_999)
      await settle()
      t.equal(service.sockets.length - length, reconnect === 'now' ? 1 : 0, `${reason}, soon`)
      service.clock.advance(1)
      await settle()
      t.equal(service.sockets.length - length, reconnect === 'never' ? 0 : 1, `${reason}, later`)
      t.equal(service.client.state === 'closed', reconnect === 'never')
    }
  })

  t.test('is not retried without pause when a service always says now', async (t) => {
    const service = await connectSubscribed(t)
    service.drop(1013, 'slow_consumer')
    service.clock.advance(0)
    await settle()
    service.open()
    service.drop(1013, 'slow_consumer')
    service.clock.advance(499)
    await settle()
    t.equal(service.sockets.length, 2)
    service.clock.advance(1)
    await settle()
    t.equal(service.sockets.length, 3)
  })

  t.test('is not retried after a close code that never reconnects, even without a reason', async (t) => {
    const service = await connectSubscribed(t)
    service.drop(1009)
    t.strictSame([service.client.state, service.client.cause], ['closed', 'close_1009'])
  })

  t.test('is reopened exactly when a draining service has announced, whatever happens until then', async (t) => {
    const service = await connectSubscribed(t)
    service.send('server_draining', { payload: { retryAfterMs: 7_000 } })
    service.clock.advance(2_000)
    service.drop(1012, 'server_restart')
    service.window.fire('online')
    service.clock.advance(4_999)
    await settle()
    t.equal(service.sockets.length, 1)
    service.clock.advance(1)
    await settle()
    t.equal(service.sockets.length, 2)
    service.drop()
    service.clock.advance(1_000)
    await settle()
    t.equal(service.sockets.length, 3, 'the announcement applies once')
  })

  t.test('is not opened while the page is hidden', async (t) => {
    const service = await connectClient(t, {}, { isHidden: true })
    t.strictSame([service.client.state, service.client.cause, service.sockets.length], ['waiting', 'hidden', 0])
    service.window.fire('online')
    await settle()
    t.equal(service.sockets.length, 0)
    service.document.visibilityState = 'visible'
    service.document.fire('visibilitychange')
    await settle()
    t.equal(service.sockets.length, 1)
    service.open()
    service.document.visibilityState = 'hidden'
    service.document.fire('visibilitychange')
    t.equal(service.socket.sent.length, 1, 'an open connection is kept')
    service.document.visibilityState = 'visible'
    service.send('server_draining', { payload: { retryAfterMs: 1_000 } })
    service.drop(1012, 'server_restart')
    service.document.visibilityState = 'hidden'
    service.document.fire('visibilitychange')
    service.clock.advance(60_000)
    await settle()
    t.strictSame([service.sockets.length, service.client.cause], [1, 'hidden'])
    service.document.visibilityState = 'visible'
    service.document.fire('visibilitychange')
    await settle()
    t.strictSame([service.sockets.length, service.client.cause], [2, 'visibilitychange'])
  })

  t.test('is retried at once when the network or the page is back', async (t) => {
    for (const event of ['online', 'pageshow']) {
      const service = await connectSubscribed(t)
      service.randoms.push(0.9)
      service.drop()
      service.window.fire(event)
      await settle()
      t.strictSame([service.sockets.length, service.client.cause], [2, event])
      service.window.fire(event)
      service.clock.advance(900)
      await settle()
      t.equal(service.sockets.length, 2, 'never two connections at once')
    }
  })

  t.test('is verified when the network or the page is back, and dropped without an answer', async (t) => {
    const service = await connectSubscribed(t)
    service.window.fire('pageshow')
    service.window.fire('online')
    service.send('pong', { replyTo: service.socket.last('ping').id })
    service.clock.advance(5_000)
    t.equal(service.client.state, 'open')
    service.window.fire('pageshow')
    service.clock.advance(1_000)
    service.window.fire('online')
    service.clock.advance(4_000)
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'no_answer'])
    t.equal(service.sockets[0]!.closedWith, 1000)
  })

  t.test('is stale after two missed heartbeats, open again with any message, and dropped without one', async (t) => {
    const service = await connectSubscribed(t, { heartbeatMs: 1_000 })
    service.clock.advance(1_500)
    service.update('a', 'planned', 1, 1)
    service.clock.advance(1_999)
    t.equal(service.client.state, 'open')
    service.clock.advance(1)
    t.strictSame([service.client.state, service.client.cause], ['stale', 'silent'])
    service.clock.advance(9_999)
    service.update('a', 'execution_started', 2, 2)
    t.strictSame([service.client.state, service.client.cause], ['open', 'answered'])
    service.send('heartbeat', { intervalMs: 5_000 })
    service.send('heartbeat')
    service.clock.advance(9_999)
    t.equal(service.client.state, 'open', 'the service has announced its interval')
    service.clock.advance(1)
    t.equal(service.client.state, 'stale')
    service.clock.advance(10_000)
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'no_answer'])
  })

  t.test('that takes too long to open is given up, and later events of its socket are ignored', async (t) => {
    const service = await connectClient(t)
    const [first] = service.sockets
    service.clock.advance(15_000)
    t.strictSame([service.client.state, service.client.cause, first!.closedWith], ['waiting', 'unreachable', 1000])
    first!.fire('open')
    first!.fire('message', { data: '{' })
    first!.fire('close', { code: 1002, reason: '' })
    t.strictSame([service.client.state, service.errors, first!.sent], ['waiting', [], []])
  })

  t.test('that fails is retried, even if the socket emits only an error', async (t) => {
    const service = await connectClient(t)
    service.socket.fire('error')
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'unreachable'])
    service.clock.advance(500)
    await settle()
    service.open()
    service.socket.fire('error')
    t.equal(service.client.state, 'open', 'a close event follows')
  })

  t.test('that is refused is an error event with the reason, where the socket has one', async (t) => {
    const service = await connectClient(t)
    const failure = new Error('Unexpected server response: 401')
    service.socket.fire('error', { message: failure.message, error: failure })
    t.match(service.errors, [{ code: 'MC_CLIENT_CONNECT_FAILED', cause: failure }])
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'unreachable'])
    service.client.on('error', () => service.client.close())
    service.clock.advance(30_000)
    await settle()
    service.socket.fire('error', { message: failure.message, error: failure })
    t.strictSame([service.client.state, service.client.cause], ['closed', 'closed'])
  })

  t.test('that cannot be created is an error event and retried', async (t) => {
    const failure = new Error('mixed content')
    const WebSocket = class extends FakeSocket {
      constructor (url: string) {
        super(url, [])
        throw failure
      }
    }
    const service = await connectClient(t, { WebSocket })
    t.match(service.errors, [{ code: 'MC_CLIENT_CONNECT_FAILED', cause: failure }])
    t.equal(service.client.state, 'waiting')
  })

  t.test('is closed permanently by close, and nothing is left of it', async (t) => {
    const service = await connectSubscribed(t)
    service.client.close()
    service.client.close()
    t.strictSame(service.emitted, ['closed: closed'])
    t.equal(service.socket.closedWith, 1000)
    t.equal(service.document.count + service.window.count, 0, 'no listeners are left on the page')
    service.clock.advance(600_000)
    await settle()
    t.equal(service.sockets.length, 1)
  })

  t.test('can be closed by a listener in any state', async (t) => {
    for (const at of ['connecting', 'open', 'stale', 'waiting', 'answered']) {
      const service = await connectClient(t)
      service.client.on('state', ({ state, cause }) => { if (state === at || cause === at) service.client.close() })
      service.open()
      service.clock.advance(60_000)
      service.send('heartbeat', { intervalMs: 1_000, protocolVersion: 2 })
      service.drop()
      service.clock.advance(120_000)
      await settle()
      t.equal(service.client.state, 'closed', at)
      t.notOk(service.emitted.slice(service.emitted.indexOf('closed: closed')).includes('version 2'), 'no event follows')
      t.equal(service.sockets.length, 1, at)
      t.equal(service.emitted.filter((text) => text.startsWith('closed')).length, 1)
    }
  })

  t.test('rejects ready if it is closed before', async (t) => {
    const service = await connectClient(t)
    service.client.close()
    t.match(await refusal(service.client.ready), { code: 'MC_CLIENT_CLOSED', message: 'closed' })
  })
})

t.test('the token', async (t) => {
  t.test('is requested for each connection and sent as a subprotocol', async (t) => {
    const tokens = ['first', 'sec.ond~-_!']
    const service = await connectClient(t, { getToken: () => tokens.shift()! })
    t.strictSame(service.socket.protocols, ['bearer', 'first'])
    service.open()
    service.drop()
    service.clock.advance(1_000)
    await settle()
    t.strictSame(service.socket.protocols, ['bearer', 'sec.ond~-_!'])
    t.strictSame((await connectClient(t)).socket.protocols, [])
  })

  t.test('that is not a valid subprotocol is an error and closes the client', async (t) => {
    for (const token of ['a b', 'a,b', 'a/b', 'a=', 'ä', '', undefined]) {
      const service = await connectClient(t, { getToken: async () => token as string })
      t.match(service.errors, [{ code: 'MC_CLIENT_INVALID_TOKEN' }], String(token))
      t.strictSame([service.client.state, service.client.cause, service.sockets.length], ['closed', 'invalid_token', 0])
    }
  })

  t.test('that fails is an error event and is requested again', async (t) => {
    const failure = new Error('no session')
    const answers = [() => { throw failure }, async () => { throw failure }, () => 'good']
    const service = await connectClient(t, { getToken: () => answers.shift()!() })
    service.clock.advance(500)
    await settle()
    t.match(service.errors, [{ code: 'MC_CLIENT_TOKEN_FAILED', cause: failure }, { code: 'MC_CLIENT_TOKEN_FAILED' }])
    t.strictSame([service.client.state, service.client.cause], ['waiting', 'token_failed'])
    service.clock.advance(500)
    await settle()
    t.strictSame(service.socket.protocols, ['bearer', 'good'])
  })

  t.test('is not requested again when a listener for errors closes the client', async (t) => {
    const service = await connectClient(t, { getToken: async () => { throw new Error('no session') } })
    service.client.on('error', () => service.client.close())
    service.clock.advance(60_000)
    await settle()
    service.clock.advance(60_000)
    await settle()
    t.strictSame([service.client.state, service.client.cause, service.errors.length], ['closed', 'closed', 2])
  })

  t.test('that never arrives is given up after a minute and requested again', async (t) => {
    const late = defer<string>()
    const answers = [late.promise, 'good']
    const service = await connectClient(t, { getToken: () => answers.shift()! })
    service.clock.advance(59_999)
    t.equal(service.client.state, 'connecting')
    service.clock.advance(1)
    t.strictSame([service.client.state, service.client.cause, service.sockets.length], ['waiting', 'token_failed', 0])
    service.clock.advance(1_000)
    await settle()
    t.strictSame(service.socket.protocols, ['bearer', 'good'])
    late.resolve('late')
    await settle()
    t.equal(service.sockets.length, 1, 'the late token opens no connection')
  })

  t.test('that arrives after the client was closed opens no connection', async (t) => {
    for (const fails of [false, true]) {
      const token = defer<string>()
      const service = await connectClient(t, { getToken: () => token.promise })
      service.client.close()
      if (fails) token.reject(new Error('late'))
      else token.resolve('late')
      await settle()
      t.strictSame([service.sockets, service.errors], [[], []])
    }
  })
})

t.test('commands', async (t) => {
  t.test('are answered by id, and a refusal contains the error code of the service', async (t) => {
    const service = await connectSubscribed(t)
    const started = service.client.start('/mission {}', { id: 'mine' })
    const cancelled = service.client.cancel('m1')
    t.match(service.socket.sent.slice(-2), [{ type: 'mission_start', command: '/mission {}', id: 'mine' }, { type: 'mission_cancel', missionId: 'm1' }])
    service.send('protocol_error', { replyTo: service.socket.last('mission_cancel').id, error: { code: 'unknown_mission', message: 'None.' } })
    service.send('mission_ack', { replyTo: 'mine', payload: { missionId: 'm2', status: 'accepted' } })
    t.strictSame(await started, { missionId: 'm2', status: 'accepted' })
    t.match(await refusal(cancelled), { code: 'MC_CLIENT_REFUSED', reason: 'unknown_mission', message: 'None.' })
    t.strictSame(service.errors, [], 'only the caller receives it')
    service.client.cancel('m4', { reason: 'wrong file' }).catch(() => {})
    const { id: _, ...sent } = service.socket.last('mission_cancel')
    t.strictSame(sent, { type: 'mission_cancel', missionId: 'm4', reason: 'wrong file' })
    const twice = [service.client.start('a', { id: 'same' }), service.client.start('b', { id: 'same' })]
    t.match(await refusal(twice[1]!), { code: 'MC_CLIENT_INVALID_OPTION' })
    service.send('mission_ack', { replyTo: 'same', payload: { missionId: 'm3', status: 'accepted' } })
    t.match(await twice[0], { missionId: 'm3' })
  })

  t.test('that are not text are refused before they are queued, and the others work', async (t) => {
    const service = await connectClient(t)
    const circular: unknown[] = []
    circular.push(circular)
    for (const command of [circular, 1n, () => {}, undefined, null, { command: 'go' }]) {
      t.match(await refusal(service.client.start(command as never)), { code: 'MC_CLIENT_INVALID_OPTION', message: 'command' })
      t.match(await refusal(service.client.cancel(command as never)), { code: 'MC_CLIENT_INVALID_OPTION', message: 'missionId' })
    }
    t.match(await refusal(service.client.start('go', { id: 5n as unknown as string })), { code: 'MC_CLIENT_INVALID_OPTION', message: 'id' })
    service.client.start('good').catch(() => {})
    service.open()
    t.match(service.socket.sent.slice(1), [{ type: 'mission_start', command: 'good' }])
  })

  t.test('wait for the connection within their time limit', async (t) => {
    const service = await connectClient(t)
    const early = service.client.start('early')
    const short = service.client.start('short', { timeoutMs: 1_000 })
    service.clock.advance(1_000)
    t.match(await refusal(short), { code: 'MC_CLIENT_TIMEOUT', message: 'mission_start' })
    service.open()
    t.match(service.socket.sent.map(({ type }) => type), ['subscribe', 'mission_start'])
    service.clock.advance(29_000)
    t.match(await refusal(early), { code: 'MC_CLIENT_TIMEOUT' })
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    t.strictSame(service.errors, [], 'a late answer is ignored')
  })

  t.test('have an unknown outcome when the connection is lost before the answer, unless they may be repeated', async (t) => {
    const service = await connectSubscribed(t)
    const once = service.client.start('once')
    const again = service.client.start('again', { id: 'key', retry: true })
    const cancelled = service.client.cancel('m1')
    service.drop()
    t.match(await refusal(once), { code: 'MC_CLIENT_OUTCOME_UNKNOWN', message: 'mission_start' })
    const later = service.client.start('later')
    service.clock.advance(1_000)
    await settle()
    service.open()
    t.match(service.socket.sent.slice(1), [{ id: 'key', command: 'again' }, { type: 'mission_cancel', missionId: 'm1' }, { command: 'later' }])
    for (const { id } of service.socket.sent.slice(1)) service.send('mission_ack', { replyTo: id, payload: { missionId: `of ${id}`, status: 'accepted' } })
    t.match(await again, { missionId: 'of key' })
    await cancelled
    await later
  })

  t.test('are rejected by a closed client, pending ones too', async (t) => {
    const service = await connectSubscribed(t)
    const waiting = service.client.ping()
    service.client.close()
    t.match(await refusal(waiting), { code: 'MC_CLIENT_CLOSED' })
    t.match(await refusal(service.client.start('a')), { code: 'MC_CLIENT_CLOSED' })
    t.match(await refusal(service.client.waitFor('a')), { code: 'MC_CLIENT_CLOSED' })
    for await (const update of service.client.missions()) t.fail(update.missionId)
    for await (const update of service.client.missions({ id: 'a' })) t.fail(update.missionId)
  })

  t.test('ping measures the round-trip time', async (t) => {
    const service = await connectSubscribed(t)
    t.equal(service.client.rttMs, undefined)
    const rtt = service.client.ping()
    service.clock.advance(12)
    service.send('pong', { replyTo: service.socket.last('ping').id })
    t.equal(await rtt, 12)
    t.equal(service.client.rttMs, 12)
  })
})

t.test('waitFor', async (t) => {
  const endings = async (service: FakeService, ...ids: string[]) => (await Promise.all(ids.map(async (id) => await service.client.waitFor(id)))).map(({ status }) => status)
  const answer = (service: FakeService, mission?: { status: string, seq: number }): void => {
    const { id, missionId } = service.socket.last('mission_get')
    if (mission === undefined) service.send('protocol_error', { replyTo: id, error: { code: 'unknown_mission', message: 'None.' } })
    else service.send('mission_update', { replyTo: id, payload: { missionId, name: 'import', snapshot: true, ...mission } })
  }

  t.test('returns the final state with all fields: live, replayed, from a snapshot, and afterwards', async (t) => {
    const service = await connectSubscribed(t)
    service.update('live', 'planned', 1, 1, { objective: 'all' })
    service.update('replayed', 'planned', 1, 2)
    service.update('state', 'planned', 1, 3)
    const live = service.client.waitFor('live')
    const others = endings(service, 'replayed', 'state')
    service.update('live', 'error', 2, 4, { error: 'm', errorCode: 'E', durationMs: 7 })
    t.strictSame(await live, { missionId: 'live', status: 'error', name: 'import', seq: 2, objective: 'all', error: 'm', errorCode: 'E', durationMs: 7 })
    await reopen(service)
    service.ack('resumed', { at: 5, messages: 1 })
    service.update('replayed', 'completed', 2, 5)
    service.send('subscription_gap', { payload: { channel: 'mission_update', cause: 'overflow', asOf: cursor(9), messages: 1 } })
    service.snapshot('state', 'cancelled', 2)
    t.strictSame(await others, ['completed', 'cancelled'])
    t.strictSame(await endings(service, 'live', 'state'), ['error', 'cancelled'])
    t.notOk(service.socket.sent.some(({ type }) => type === 'mission_get'), 'no lookup was needed')
  })

  t.test('looks up a mission that the client does not hold, and rejects if it does not exist', async (t) => {
    const service = await connectClient(t)
    const early = service.client.waitFor('early')
    service.open()
    t.equal(service.socket.sent.length, 1, 'not before the catch-up')
    service.ack('fresh', { at: 1, messages: 1 })
    service.snapshot('other', 'planned', 1)
    t.match(service.socket.last('mission_get'), { missionId: 'early' })
    answer(service, { status: 'completed', seq: 3 })
    t.match(await early, { status: 'completed', missionId: 'early' })
    const none = service.client.waitFor('none')
    service.clock.advance(50)
    await settle()
    answer(service)
    t.match(await refusal(none), { code: 'MC_CLIENT_NOT_FOUND', message: 'none' })
  })

  t.test('rejects for an id that no mission can have', async (t) => {
    const service = await connectSubscribed(t)
    for (const id of [undefined, 42] as never[]) t.match(await refusal(service.client.waitFor(id)), { code: 'MC_CLIENT_NOT_FOUND' }, String(id))
    const large = refusal(service.client.waitFor('x'.repeat(20_000)))
    service.send('whoami', { replyTo: service.socket.last('whoami').id, payload: { limits: { maxPayloadBytes: 16_384, maxMessagesPerSecond: 50 } } })
    t.match(await large, { code: 'MC_CLIENT_NOT_FOUND' })
    const empty = refusal(service.client.waitFor(''))
    service.send('protocol_error', { replyTo: service.socket.last('mission_get').id, error: { code: 'invalid_message', message: 'Too short.' } })
    t.match(await empty, { code: 'MC_CLIENT_NOT_FOUND' })
    t.strictSame(service.errors, [])
  })

  t.test('rejects when a mission is lost in a restart', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    const lost = service.client.waitFor('a')
    await reopen(service)
    service.ack('gap', { at: 0, messages: 0, gap: { cause: 'epoch_changed' } })
    t.equal(service.emitted.at(-1), 'lost a')
    answer(service)
    t.match(await refusal(lost), { code: 'MC_CLIENT_LOST', message: 'a' }, 'the service is asked: its ending may have been missed')
  })

  t.test('waits for the first update of a mission that was started over this connection', async (t) => {
    const service = await connectSubscribed(t)
    const started = service.client.start('go')
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const ending = service.client.waitFor('m')
    service.send('heartbeat', { intervalMs: 30_000 })
    t.notOk(service.socket.sent.some(({ type }) => type === 'mission_get'))
    service.update('m', 'completed', 1, 1)
    t.match(await ending, { status: 'completed' })
    const again = service.client.start('go')
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    t.match(await service.client.waitFor((await again).missionId), { status: 'completed' }, 'a known mission needs no first update')
  })

  t.test('looks up a started mission that has no update at the second heartbeat', async (t) => {
    const service = await connectSubscribed(t)
    const started = service.client.start('go')
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const ending = service.client.waitFor('m')
    for (const asked of [false, true]) {
      service.send('heartbeat', { intervalMs: 30_000 })
      t.equal(service.socket.sent.some(({ type }) => type === 'mission_get'), asked)
    }
    answer(service, { status: 'completed', seq: 2 })
    t.match(await ending, { status: 'completed' })
  })

  t.test('looks up nothing before the catch-up of a connection', async (t) => {
    const service = await connectSubscribed(t)
    const waits = ['a', 'b'].map((id) => refusal(service.client.waitFor(id)))
    answer(service)
    await settle()
    service.drop()
    service.clock.advance(10_000)
    await settle()
    service.open()
    t.strictSame(service.socket.sent.map(({ type }) => type), ['subscribe'])
    service.ack('resumed', { at: 0, messages: 0 })
    answer(service)
    for (const wait of waits) t.match(await wait, { code: 'MC_CLIENT_NOT_FOUND' })
  })

  t.test('rejects when a started mission is unknown after a reconnect', async (t) => {
    const service = await connectSubscribed(t)
    const started = service.client.start('go')
    service.send('mission_ack', { replyTo: service.socket.last('mission_start').id, payload: { missionId: 'm', status: 'accepted' } })
    await started
    const lost = service.client.waitFor('m')
    await reopen(service)
    service.ack('resumed', { at: 0, messages: 0 })
    answer(service)
    t.match(await refusal(lost), { code: 'MC_CLIENT_LOST' })
  })

  t.test('looks up a mission that the filter hides at each heartbeat', async (t) => {
    const service = await connectSubscribed(t, { filter: { names: ['other'] } })
    const ending = service.client.waitFor('m')
    answer(service, { status: 'planned', seq: 1 })
    await settle()
    service.clock.advance(50)
    const asked = () => service.socket.sent.filter(({ type }) => type === 'mission_get').length
    t.equal(asked(), 1)
    service.send('heartbeat', { intervalMs: 30_000 })
    t.equal(asked(), 2)
    service.drop()
    service.clock.advance(30_000)
    await settle()
    service.open()
    service.ack('resumed', { at: 0, messages: 0 })
    service.clock.advance(50)
    await settle()
    answer(service, { status: 'completed', seq: 2 })
    t.match(await ending, { status: 'completed' })
    t.strictSame(service.emitted.filter((text) => text.includes(' m ')), [], 'listeners receive only what the filter passes')
  })

  t.test('ignores an outdated answer that crosses an update', async (t) => {
    const service = await connectSubscribed(t)
    const ending = service.client.waitFor('m')
    service.update('m', 'planned', 1, 1)
    answer(service)
    await settle()
    service.update('m', 'completed', 2, 2)
    t.match(await ending, { status: 'completed' })
  })

  t.test('can be limited in time and aborted', async (t) => {
    const service = await connectSubscribed(t)
    service.update('m', 'planned', 1, 1)
    const timed = service.client.waitFor('m', { timeoutMs: 100 })
    service.clock.advance(100)
    t.match(await refusal(timed), { code: 'MC_CLIENT_TIMEOUT', message: 'm' })
    const abort = new AbortController()
    const stopped = service.client.waitFor('m', { signal: abort.signal })
    abort.abort('enough')
    t.match(await refusal(stopped), { code: 'MC_CLIENT_ABORTED', cause: 'enough' })
    t.match(await refusal(service.client.waitFor('m', { signal: abort.signal })), { code: 'MC_CLIENT_ABORTED' })
    const signal = Object.assign(new FakeTarget(), { aborted: false })
    const resolved = service.client.waitFor('m', { timeoutMs: 100, signal })
    t.equal(signal.count, 1)
    service.update('m', 'completed', 2, 2)
    t.match(await resolved, { status: 'completed' })
    t.equal(signal.count, 0, 'no listener is left on the signal')
  })

  t.test('can wait without limit on the real clock', async (t) => {
    const client = connect('ws://a.example', { WebSocket: FakeSocket })
    const wait = refusal(client.waitFor('m', { timeoutMs: Infinity }))
    // A timer that is too long would run after 1 ms.
    await new Promise((resolve) => { setTimeout(resolve, 2) })
    client.close()
    t.match(await wait, { code: 'MC_CLIENT_CLOSED' })
  })

  t.test('rejects when the client is closed', async (t) => {
    const service = await connectSubscribed(t)
    const waits = ['a', 'a', 'b'].map((id) => refusal(service.client.waitFor(id)))
    service.client.close()
    for (const wait of waits) t.match(await wait, { code: 'MC_CLIENT_CLOSED' })
  })
})

t.test('iterating over missions', async (t) => {
  const names = (updates: ReadonlyArray<{ missionId: string, status: string, seq: number }>) => updates.map(({ missionId, status, seq }) => `${status} ${missionId} ${seq}`)

  t.test('returns the active missions, then every update, until the client is closed', async (t) => {
    const service = await connectSubscribed(t)
    service.update('over', 'completed', 1, 1)
    service.update('a', 'planned', 1, 2, { tags: ['x'] })
    const got: string[] = []
    const first = defer<unknown>()
    const done = (async () => {
      for await (const update of service.client.missions()) {
        got.push(...names([update]))
        first.resolve(update)
      }
    })()
    t.match(await first.promise, { missionId: 'a', tags: ['x'], snapshot: true })
    service.update('a', 'completed', 2, 3)
    service.update('b', 'planned', 1, 4)
    await settle()
    service.client.close()
    await done
    t.strictSame(got, ['planned a 1', 'completed a 2', 'planned b 1'])
  })

  t.test('slowly returns the newest progress of each mission and every other update', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    const updates = service.client.missions()
    const read = async () => names([(await updates.next()).value!])[0]
    t.equal(await read(), 'planned a 1')
    for (let seq = 2; seq < 100; seq++) service.update('a', 'execution_progress', seq, undefined, { metadata: seq })
    service.update('b', 'execution_progress', 1)
    service.update('a', 'execution_progress', 100, 2)
    service.update('a', 'execution_progress', 101)
    t.equal(await read(), 'execution_progress a 99')
    service.update('a', 'execution_progress', 102)
    service.update('b', 'execution_progress', 2)
    service.update('a', 'completed', 103, 3)
    const rest = [await read(), await read(), await read(), await read()]
    t.strictSame(rest, ['execution_progress b 2', 'execution_progress a 100', 'execution_progress a 102', 'completed a 103'])
    service.update('c', 'execution_progress', 1)
    t.equal(await read(), 'execution_progress c 1')
    service.update('c', 'execution_progress', 2)
    t.equal(await read(), 'execution_progress c 2')
    await updates.return!()
    service.update('c', 'execution_progress', 3)
    t.match(await updates.next(), { done: true })
  })

  t.test('ends at once with return, even while it waits and with queued updates', async (t) => {
    const service = await connectSubscribed(t)
    const updates = service.client.missions()
    const waiting = updates.next()
    await settle()
    t.match(await updates.return!(), { done: true, value: undefined })
    t.match(await waiting, { done: true, value: undefined })
    const queued = service.client.missions()
    const first = queued.next()
    service.update('a', 'planned', 1, 1)
    t.match(await first, { value: { missionId: 'a' } })
    service.update('b', 'planned', 1, 2)
    t.match(await queued.return!(), { done: true })
    t.match(await queued.next(), { done: true })
    t.match(await service.client.missions().return!(), { done: true }, 'before the first read too')
  })

  t.test('ends at once with a signal, and rejects as waitFor does', async (t) => {
    const service = await connectSubscribed(t)
    const signal = Object.assign(new FakeTarget(), { aborted: false, reason: 'enough' })
    const updates = service.client.missions({ signal })
    const waiting = refusal(updates.next())
    await settle()
    t.equal(signal.count, 1)
    signal.fire('abort')
    t.match(await waiting, { code: 'MC_CLIENT_ABORTED', message: 'missions', cause: 'enough' })
    t.match(await updates.next(), { done: true })
    t.equal(signal.count, 0, 'no listener is left on the signal')
    service.update('a', 'planned', 1, 1)
    const one = service.client.missions({ id: 'a', signal })
    t.match(await one.next(), { value: { status: 'planned' } })
    service.update('a', 'execution_started', 2, 2)
    signal.fire('abort')
    t.match(await refusal(one.next()), { code: 'MC_CLIENT_ABORTED', message: 'a' }, 'queued updates are dropped')
    signal.aborted = true
    t.match(await refusal(service.client.missions({ signal }).next()), { code: 'MC_CLIENT_ABORTED' })
  })

  t.test('with an id returns the updates of one mission until its end', async (t) => {
    const service = await connectSubscribed(t)
    service.update('a', 'planned', 1, 1)
    const got: string[] = []
    const done = (async () => { for await (const update of service.client.missions({ id: 'a' })) got.push(...names([update])) })()
    await settle()
    service.update('b', 'planned', 1, 2)
    service.update('a', 'execution_progress', 2)
    service.update('a', 'cancelled', 3, 3)
    service.update('a', 'planning_started', 1, 4)
    await done
    t.strictSame(got, ['planned a 1', 'execution_progress a 2', 'cancelled a 3'])
    const one = service.client.missions({ id: 'b' })
    t.match(await one.next(), { done: false, value: { status: 'planned' } })
    await one.return!()
    service.update('b', 'completed', 2, 5)
    const over: unknown[] = []
    for await (const update of service.client.missions({ id: 'b' })) over.push(update)
    t.match(over, [{ status: 'completed', snapshot: true }])
  })

  t.test('with an id rejects if the mission does not exist, and ends with a mission that the filter hides', async (t) => {
    const service = await connectSubscribed(t, { filter: { tags: ['x'] } })
    const none = refusal(service.client.missions({ id: 'none' }).next())
    await settle()
    service.send('protocol_error', { replyTo: service.socket.last('mission_get').id, error: { code: 'unknown_mission', message: 'None.' } })
    t.match(await none, { code: 'MC_CLIENT_NOT_FOUND' })
    service.clock.advance(50)
    await settle()
    const hidden = service.client.missions({ id: 'hidden' }).next()
    await settle()
    service.send('mission_update', { replyTo: service.socket.last('mission_get').id, payload: { missionId: 'hidden', status: 'error', name: 'import', seq: 4, snapshot: true } })
    t.match(await hidden, { done: false, value: { status: 'error' } })
  })
})

t.test('request sends any question of the protocol, again after a lost connection, and returns its answer', async (t) => {
  const service = await connectSubscribed(t)
  const page = service.client.request<'mission_list'>({ type: 'mission_list', query: { q: 'import' } })
  await settle()
  const { id, query } = service.socket.last('mission_list')
  t.same(query, { q: 'import' })
  service.send('mission_list', { replyTo: id, payload: { missions: [], nextCursor: '5' } })
  t.same(await page, { missions: [], nextCursor: '5' })
  t.match(await refusal(service.client.request<'mission_list'>({ type: 'mission_list', query: 'all' as never })), { code: 'MC_CLIENT_INVALID_OPTION' })
  t.match(await refusal(service.client.request<'anomaly_history'>({ type: 'anomaly_history', limit: '5' as never })), { code: 'MC_CLIENT_INVALID_OPTION' })
})

t.test('with a storage', async (t) => {
  t.test('a reload resumes from the cursor with a snapshot, and missed messages arrive once and before it', async (t) => {
    const storage = new MemoryStorage()
    const before = await connectSubscribed(t, { storage, storageKey: 'key' })
    before.update('a', 'planned', 1, 1)
    before.update('b', 'planned', 1, 2)
    t.equal(storage.writes, 0)
    before.clock.advance(500)
    t.equal(storage.writes, 1, 'not with every message')
    before.update('c', 'planned', 1, 3)
    before.window.fire('pagehide')
    t.equal(storage.writes, 2, 'but before the page is left')
    t.strictSame(JSON.parse(storage.values.get('key')!), { mission_update: cursor(3) })

    const service = await connectClient(t, { storage, storageKey: 'key' })
    t.match(service.open(), { since: { mission_update: cursor(3) }, snapshot: true })
    service.emitted.length = 0
    service.ack('resumed', { at: 6, messages: 6 })
    service.snapshot('b', 'execution_progress', 7)
    service.snapshot('d', 'execution_started', 2)
    service.update('a', 'completed', 2, 4, { endedAt: 4 })
    service.update('d', 'planning_started', 1, 5)
    service.snapshot('c', 'planned', 1)
    service.update('d', 'execution_started', 2, 6)
    t.strictSame(service.emitted, ['completed a 2', 'planning_started d 1', 'execution_started d 2', 'execution_progress b 7', 'planned c 1'])
    t.strictSame(service.client.cursors.mission_update, cursor(6))
    await reopen(service)
    t.notOk('snapshot' in service.socket.last('subscribe'), 'the client holds the state')
  })

  t.test('a mission in the missed messages that the snapshot lacks is lost', async (t) => {
    const service = await connectClient(t, { storage: { getItem: () => JSON.stringify({ mission_update: cursor(3) }), setItem () {} } })
    service.open()
    service.ack('resumed', { at: 4, messages: 2 })
    service.snapshot('b', 'planned', 1)
    service.update('a', 'planned', 1, 4)
    t.strictSame(service.emitted.slice(1), ['planned a 1', 'planned b 1', 'lost a'])
  })

  t.test('with invalid contents, the client starts without a cursor', async (t) => {
    const good = { epoch: 'e', offset: 1, id: 'i' }
    for (const value of ['', '{', 'null', '5', '[]', ...[
      { ...good, epoch: '' }, { ...good, epoch: 5 }, { ...good, offset: -1 }, { ...good, offset: 1.5 }, { ...good, offset: '1' }, { ...good, id: 7 },
      { ...good, id: 'x'.repeat(129) }, { ...good, epoch: 'x'.repeat(65) }, null, 'e'
    ].map((broken) => JSON.stringify({ mission_update: broken }))]) {
      const service = await connectClient(t, { storage: { getItem: () => value, setItem () {} } })
      t.notOk('since' in service.open(), value)
      t.strictSame(service.errors, [])
    }
    const service = await connectClient(t, { storage: { getItem: () => JSON.stringify({ mission_update: { ...good, more: 1 }, health_delta: good, metrics_tick: good }), setItem () {} }, channels: ['mission_update', 'metrics_tick'] })
    t.strictSame(service.open()['since'], { mission_update: good }, 'other contents are not sent')
  })

  t.test('that throws, the error is emitted and everything else works', async (t) => {
    const failure = new Error('quota')
    const service = await connectClient(t, { storage: { getItem () { throw failure }, setItem () { throw failure } } })
    service.open()
    service.ack('fresh', { at: 1, messages: 0 })
    service.clock.advance(500)
    await settle()
    t.match(service.errors, [{ code: 'MC_CLIENT_STORAGE_FAILED', cause: failure }, { code: 'MC_CLIENT_STORAGE_FAILED', cause: failure }])
    t.equal(service.client.state, 'open')
  })
})

t.test('the types', async (t) => {
  t.test('reject unknown channels, fields and options', async (t) => {
    const service = await connectClient(t)
    // Never called: the compiler checks it.
    const misuse = (client: Client): void => {
      client.on('mission_update', ({ missionId, status }, message) => [missionId satisfies string, status satisfies string, message.position?.offset satisfies number | undefined])
      client.on('health_delta', ({ health }) => health.components)
      client.on('gap', ({ channel, cause }) => [channel, cause])
      client.missionsState.get('a')?.objective satisfies string | undefined
      // @ts-expect-error there is no such channel
      client.on('mission_updates', () => {})
      // @ts-expect-error the payload has no such field
      client.on('mission_update', ({ mission }) => mission)
      // @ts-expect-error a field of another channel
      client.on('mission_stats', ({ missionId }) => missionId)
      // @ts-expect-error no channel of that name
      connect('ws://a.example', { channels: ['mission_news'] })
      // @ts-expect-error no option of that name
      connect('ws://a.example', { heartbeat: 1 })
      // @ts-expect-error no status of that name
      connect('ws://a.example', { filter: { statuses: ['running'] } })
      // @ts-expect-error the map is read-only
      client.missionsState.delete('a')
      // @ts-expect-error a time in ms is a number
      client.waitFor('a', { timeoutMs: '1 s' })
      connect('ws://a.example', { WebSocket: WsWebSocket })
    }
    t.type(misuse, 'function')
    t.equal(service.client.state, 'connecting')
  })

  t.test('work in a page: they need no types of Node.js and accept the objects of a browser', async (t) => {
    const path = resolve(fileURLToPath(import.meta.url), '../in-a-page.ts')
    const text = `
      import { connect, type ChannelName, type ChannelPayloads, type Client, type MissionUpdate } from '../lib/client/index.js'
      const client: Client = connect('/ws', { WebSocket, storage: sessionStorage, document, window, getToken: async () => 'token' })
      const abort = new AbortController()
      client.waitFor('a', { signal: abort.signal }).then(({ status }) => { document.title = status })
      client.waitFor('a', { signal: AbortSignal.timeout(1_000) })
      const channels: ChannelName[] = ['mission_update', 'mission_stats']
      const last: { update?: MissionUpdate, stats?: ChannelPayloads['mission_stats'] } = {}
      client.on('mission_update', (update) => { last.update = update })
      client.on('mission_stats', (stats) => { last.stats = stats })
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
