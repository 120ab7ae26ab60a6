import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { connect, type Client, type ClientError, type ClientOptions } from '../lib/client/index.js'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import type { MissionUpdate } from '../schemas/index.js'
import { boot, closingSoon } from './support/app.js'
import { ensureListening, urlOf } from './support/client.js'
import { onlyWith, type Available } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')

/** Connects a client over real sockets of `ws` that reconnects at once; `drop` breaks its connection. */
async function follow (t: Test, app: FastifyInstance, options: ClientOptions = {}) {
  await ensureListening(app)
  const sockets: WebSocket[] = []
  class Socket extends WebSocket {
    constructor (url: string, protocols: string[]) {
      super(url, protocols)
      sockets.push(this)
    }
  }
  let isAway = false
  const random = () => isAway ? 0.9 : 0
  const client = connect(urlOf(app), { WebSocket: Socket, random, ...options })
  t.teardown(() => client.close())
  const received: MissionUpdate[] = []
  client.on('mission_update', (update) => { received.push(update) })
  const drop = (): void => sockets.at(-1)!.terminate()
  return { client, received, sockets, drop, setAway (away: boolean) { isAway = away } }
}

/** Waits for a state of the client. */
async function reach (client: Client, state: string): Promise<void> {
  if (client.state === state) return
  await new Promise<void>((resolve) => {
    const stop = client.on('state', ({ state: reached }) => {
      if (reached !== state) return
      stop()
      resolve()
    })
  })
}

/** Waits until the client and the service hold the same missions. */
async function agree (client: Client, app: FastifyInstance): Promise<void> {
  for (;;) {
    const have = [...client.missionsState.values()].map(({ missionId, status }) => `${missionId} ${status}`).sort()
    const want = app.missions.list({ limit: 200 }).missions.map(({ id, status }) => `${id} ${status}`).sort()
    if (JSON.stringify(have) === JSON.stringify(want)) return
    await client.ping().catch(() => {})
  }
}

const ends = (received: readonly MissionUpdate[]): string[] => received.filter(({ durationMs }) => durationMs !== undefined).map(({ missionId, status }) => `${status} ${missionId}`)

async function failure (promise: Promise<unknown>): Promise<ClientError> {
  return await promise.then(() => { throw new Error('the promise did not reject') }, (err: ClientError) => err)
}

t.test('across lost connections a client receives every update once and holds the state of the service', async (t) => {
  const app = await boot(t)
  const { client, received, drop } = await follow(t, app)
  await client.ready
  const missions = []
  for (let round = 0; round < 30; round++) {
    const mission = app.missions.start({ name: 'job', tags: ['round'] })
    missions.push(mission)
    if (round % 3 === 0) drop()
    mission.executionStarted()
    for (const other of missions.filter(({ isTerminal }) => !isTerminal)) {
      other.progress({ taskId: 'task', index: 1, total: 2, status: 'started' })
      if (Math.random() < 0.3) other.complete()
    }
    if (round % 4 === 0) await reach(client, 'open')
    else await new Promise((resolve) => { setImmediate(resolve) })
  }
  for (const mission of missions.filter(({ isTerminal }) => !isTerminal)) mission.fail(new Error('over'))
  await agree(client, app)
  t.strictSame(ends(received).sort(), missions.map(({ id, status }) => `${status} ${id}`).sort(), 'each end once')
  const last = new Map<string, number>()
  for (const { missionId, seq } of received) {
    if (seq <= (last.get(missionId) ?? -1)) t.fail(`${missionId}: ${seq} after ${last.get(missionId)}`)
    last.set(missionId, seq)
  }
})

t.test('a client that was away for longer than the message log reaches receives the gap and the end of every mission', async (t) => {
  const app = await boot(t, { websocket: { history: { maxMessages: 25 } } })
  const { client, received, drop, setAway } = await follow(t, app)
  const gaps: string[] = []
  client.on('gap', ({ cause }) => { gaps.push(cause) })
  await client.ready
  const early = app.missions.start({ id: 'early', name: 'job' })
  await agree(client, app)
  setAway(true)
  drop()
  await reach(client, 'waiting')
  early.complete()
  for (let at = 0; at < 20; at++) app.missions.start({ id: `m${at}`, name: 'job' }).complete()
  app.missions.start({ id: 'new', name: 'job' }).executionStarted()
  t.match(await client.waitFor('early'), { status: 'completed' })
  await agree(client, app)
  t.strictSame(gaps, ['trimmed'])
  t.strictSame(ends(received).sort(), ['completed early', ...Array.from({ length: 20 }, (_, at) => `completed m${at}`)].sort())
})

t.test('after a restart of the service, active missions are lost and the client follows the new process', async (t) => {
  const options: MissionControlOptions = { missions: { closeGraceMs: 1 } }
  const first = Fastify()
  await first.register(missionControl, closingSoon(options))
  await first.listen({ port: 0, host: '127.0.0.1' })
  const { port } = first.server.address() as AddressInfo
  const { client, sockets } = await follow(t, first)
  first.missions.start({ id: 'a', name: 'job' })
  await agree(client, first)
  const lost: string[] = []
  client.on('lost', ({ missionId }) => { lost.push(missionId) })
  const ending = failure(client.waitFor('a'))
  // Without a close frame, as if the process were killed.
  first.websocketServer?.close()
  sockets[0]!.terminate()
  first.server.closeAllConnections()
  await new Promise((resolve) => first.server.close(resolve))
  const second = Fastify()
  t.teardown(async () => { await Promise.all([first.close(), second.close()]) })
  await second.register(missionControl, closingSoon(options))
  await second.listen({ port, host: '127.0.0.1' })
  t.match(await ending, { code: 'MC_CLIENT_LOST' })
  t.strictSame(lost, ['a'])
  second.missions.start({ id: 'b', name: 'job' }).complete()
  await agree(client, second).catch(() => {})
  t.match(await client.waitFor('b'), { status: 'completed' })
})

t.test('a client waits as long as a draining service has announced', async (t) => {
  const app = await boot(t)
  const { client, setAway, sockets } = await follow(t, app)
  await client.ready
  setAway(true)
  await app.missionControl.drain({ withinMs: 0 })
  await reach(client, 'waiting')
  t.equal(client.cause, 'server_restart')
  await reach(client, 'connecting')
  await reach(client, 'waiting')
  t.equal(client.cause, 'unreachable', 'the service is closing')
  t.equal(sockets.length, 2)
})

t.test('commands work, and a mission that was just started can be awaited and iterated', async (t) => {
  const app = await boot(t)
  const { client } = await follow(t, app)
  app.missions.handle({
    start: {
      start: (command) => {
        if (command === 'no') throw new Error('no')
        return app.missions.spawn({ name: command }, async (mission) => {
          if (command === 'long') await new Promise((resolve) => { mission.signal.addEventListener('abort', resolve, { once: true }) })
          mission.signal.throwIfAborted()
        })
      }
    },
    cancel: {}
  })
  const { missionId } = await client.start('short')
  t.match(await client.waitFor(missionId), { status: 'completed', name: 'short' })
  const long = await client.start('long')
  const statuses: string[] = []
  const read = (async () => { for await (const { status } of client.missions({ id: long.missionId })) statuses.push(status) })()
  t.match(await client.cancel(long.missionId), { action: 'cancel' })
  t.match(await client.waitFor(long.missionId), { status: 'cancelled', cancel: { kind: 'client' } })
  await read
  t.equal(statuses.at(-1), 'cancelled')
  t.match(await failure(client.cancel('none')), { code: 'MC_CLIENT_REFUSED', reason: 'unknown_mission' })
  t.match(await failure(client.waitFor('none')), { code: 'MC_CLIENT_NOT_FOUND' })
  t.match(await failure(client.start('no')), { code: 'MC_CLIENT_REFUSED', reason: 'internal_error' })
  t.ok(await client.ping() >= 0)
})

t.test('a filter passes matching missions, and waitFor works for the others too', async (t) => {
  const app = await boot(t, { websocket: { heartbeatMs: 20 } })
  const { client, received, drop } = await follow(t, app, { filter: { tags: ['night'], statuses: ['execution_started', 'execution_progress'] } })
  const diverged: unknown[] = []
  client.on('diverged', (event) => { diverged.push(event) })
  const shown = app.missions.start({ id: 'shown', name: 'job', tags: ['night'] })
  const hidden = app.missions.start({ id: 'hidden', name: 'job' })
  await client.ready
  shown.executionStarted()
  const ended = client.waitFor('hidden')
  hidden.executionStarted()
  await client.ping()
  t.strictSame([...client.missionsState.keys()], ['shown'])
  drop()
  shown.complete()
  hidden.complete()
  t.match(await ended, { missionId: 'hidden', status: 'completed' })
  t.match(await client.waitFor('shown'), { status: 'completed' })
  t.strictSame(received.map(({ missionId, status }) => `${missionId} ${status}`), ['shown execution_started', 'shown completed'])
  t.strictSame(diverged, [])
})

t.test('a client receives the histogram and the busiest operations if it asks for them, after a lost connection too', async (t) => {
  const app = await boot(t, { channels: { metricsTickMinMs: 500 } })
  const { client, drop } = await follow(t, app, { channels: ['mission_update', 'metrics_tick'], latency: ['histogram', 'operations'] })
  const track = async () => {
    app.monitoring.trackOperation({ component: 'db', operation: 'query', status: 'success', durationMs: 8 })
    return await new Promise((resolve) => { const stop = client.on('metrics_tick', (tick) => { stop(); resolve(tick) }) })
  }
  await client.ready
  t.match(await track(), { histogram: { count: 1 }, operations: [{ component: 'db', operation: 'query', count: 1 }] })
  drop()
  await reach(client, 'waiting')
  await reach(client, 'open')
  await client.ping()
  t.match(await track(), { histogram: { count: 2 }, operations: [{ component: 'db', operation: 'query', count: 2 }] })
})

t.test('a new token is sent as a subprotocol with each connection', async (t) => {
  const tokens: Array<string | undefined> = []
  const app = await boot(t, { onRequest: async (request) => { tokens.push(request.headers['sec-websocket-protocol']) } })
  let asked = 0
  const { client, drop, sockets } = await follow(t, app, { getToken: async () => `token-${++asked}` })
  await client.ready
  drop()
  await reach(client, 'waiting')
  await reach(client, 'open')
  t.strictSame(tokens, ['bearer,token-1', 'bearer,token-2'])
  t.equal(sockets[1]!.protocol, 'bearer')
})

t.test('a stored cursor lets a new client receive what the old one missed', async (t) => {
  const app = await boot(t)
  const values = new Map<string, string>()
  const storage = { getItem: (key: string) => values.get(key) ?? null, setItem: (key: string, value: string) => { values.set(key, value) } }
  const before = await follow(t, app, { storage })
  app.missions.start({ id: 'a', name: 'job' })
  app.missions.start({ id: 'b', name: 'job' })
  await agree(before.client, app)
  before.client.close()
  app.missions.get('a')!.complete()
  const after = await follow(t, app, { storage })
  await agree(after.client, app).catch(() => {})
  await after.client.ready
  t.strictSame(after.received.map(({ missionId, status, snapshot }) => [missionId, status, snapshot]), [['a', 'completed', undefined], ['b', 'planning_started', true]])
})

/** Whether this Node.js has a built-in WebSocket, perhaps behind a flag. */
function findBuiltInWebSocket (): Available {
  const { status } = spawnSync(process.execPath, ['--experimental-websocket', '-e', 'new WebSocket("ws://127.0.0.1:1").onerror = () => {}'])
  return status === 0 ? { path: process.execPath } : { skip: 'this Node.js has no built-in WebSocket' }
}

t.test('the built-in WebSocket of Node.js works', onlyWith(findBuiltInWebSocket()), async (t) => {
  const app = await boot(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  app.missions.start({ id: 'a', name: 'job' })
  const script = `
    import { connect } from 'fastify-mission-control/client'
    const client = connect(process.argv[1])
    client.on('state', ({ state, cause }) => console.log(state, cause))
    await client.ready
    console.log(client.missionsState.get('a').status)
    const ending = await client.waitFor('a')
    console.log(ending.status)
    client.close()`
  const { spawn } = await import('node:child_process')
  const child = spawn(process.execPath, ['--experimental-websocket', '--no-warnings', '--input-type=module', '-e', script, urlOf(app)], {
    cwd: root, env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  let output = ''
  child.stdout.on('data', (text) => {
    output += String(text)
    if (output.includes('planning_started')) app.missions.report('a', 'completed')
  })
  await once(child, 'close')
  t.strictSame(output.trim().split('\n'), ['open connected', 'planning_started', 'completed', 'closed closed'])
})
