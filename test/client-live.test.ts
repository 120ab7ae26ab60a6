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
import { urlOf } from './support/client.js'
import { onlyWith, type Available } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')

/** A client over real sockets of `ws` that comes back at once; `cut` breaks its connection. */
async function follow (t: Test, app: FastifyInstance, options: ClientOptions = {}) {
  if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' })
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
  const heard: MissionUpdate[] = []
  client.on('mission_update', (update) => { heard.push(update) })
  const cut = (): void => sockets.at(-1)!.terminate()
  return { client, heard, sockets, cut, setAway (away: boolean) { isAway = away } }
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

/** Waits until the client holds what the service has. */
async function agree (client: Client, app: FastifyInstance): Promise<void> {
  for (;;) {
    const have = [...client.missionsState.values()].map(({ missionId, status }) => `${missionId} ${status}`).sort()
    const want = app.missions.list({ limit: 200 }).missions.map(({ id, status }) => `${id} ${status}`).sort()
    if (JSON.stringify(have) === JSON.stringify(want)) return
    await client.ping().catch(() => {})
  }
}

const endings = (heard: readonly MissionUpdate[]): string[] => heard.filter(({ durationMs }) => durationMs !== undefined).map(({ missionId, status }) => `${status} ${missionId}`)

async function failure (promise: Promise<unknown>): Promise<ClientError> {
  return await promise.then(() => { throw new Error('nothing failed') }, (err: ClientError) => err)
}

t.test('over cuts a client misses nothing, hears nothing twice, and holds what the service has', async (t) => {
  const app = await boot(t)
  const { client, heard, cut } = await follow(t, app)
  await client.ready
  const missions = []
  for (let round = 0; round < 30; round++) {
    const mission = app.missions.start({ name: 'job', tags: ['round'] })
    missions.push(mission)
    if (round % 3 === 0) cut()
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
  t.strictSame(endings(heard).sort(), missions.map(({ id, status }) => `${status} ${id}`).sort(), 'each ending once')
  const last = new Map<string, number>()
  for (const { missionId, seq } of heard) {
    if (seq <= (last.get(missionId) ?? -1)) t.fail(`${missionId}: ${seq} after ${last.get(missionId)}`)
    last.set(missionId, seq)
  }
})

t.test('a client that was away for longer than the log reaches is told of the gap and gets every ending', async (t) => {
  const app = await boot(t, { websocket: { history: { maxMessages: 25 } } })
  const { client, heard, cut, setAway } = await follow(t, app)
  const gaps: string[] = []
  client.on('gap', ({ cause }) => { gaps.push(cause) })
  await client.ready
  const early = app.missions.start({ id: 'early', name: 'job' })
  await agree(client, app)
  setAway(true)
  cut()
  await reach(client, 'waiting')
  early.complete()
  for (let at = 0; at < 20; at++) app.missions.start({ id: `m${at}`, name: 'job' }).complete()
  app.missions.start({ id: 'new', name: 'job' }).executionStarted()
  t.match(await client.waitFor('early'), { status: 'completed' })
  await agree(client, app)
  t.strictSame(gaps, ['trimmed'])
  t.strictSame(endings(heard).sort(), ['completed early', ...Array.from({ length: 20 }, (_, at) => `completed m${at}`)].sort())
})

t.test('a restart of the service is survived: what was active is lost, and the new one is followed', async (t) => {
  const options: MissionControlOptions = { missions: { closeGraceMs: 1 } }
  const first = Fastify()
  await first.register(missionControl, closingSoon(first, options))
  await first.listen({ port: 0, host: '127.0.0.1' })
  const { port } = first.server.address() as AddressInfo
  const { client, sockets } = await follow(t, first)
  first.missions.start({ id: 'a', name: 'job' })
  await agree(client, first)
  const lost: string[] = []
  client.on('lost', ({ missionId }) => { lost.push(missionId) })
  const ending = failure(client.waitFor('a'))
  // Gone without a word, as when the process is killed.
  first.websocketServer?.close()
  sockets[0]!.terminate()
  first.server.closeAllConnections()
  await new Promise((resolve) => first.server.close(resolve))
  const second = Fastify()
  t.teardown(async () => { await Promise.all([first.close(), second.close()]) })
  await second.register(missionControl, closingSoon(second, options))
  await second.listen({ port, host: '127.0.0.1' })
  t.match(await ending, { code: 'MC_CLIENT_LOST' })
  t.strictSame(lost, ['a'])
  second.missions.start({ id: 'b', name: 'job' }).complete()
  await agree(client, second).catch(() => {})
  t.match(await client.waitFor('b'), { status: 'completed' })
})

t.test('a service that drains is left alone for as long as it says', async (t) => {
  const app = await boot(t)
  const { client, setAway, sockets } = await follow(t, app)
  await client.ready
  setAway(true)
  await app.missionControl.drain({ withinMs: 0 })
  await reach(client, 'waiting')
  t.equal(client.cause, 'server_restart')
  await reach(client, 'connecting')
  await reach(client, 'waiting')
  t.equal(client.cause, 'unreachable', 'it is closing')
  t.equal(sockets.length, 2)
})

t.test('commands are carried out, and a mission that was just started can be waited for and followed', async (t) => {
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

t.test('a filter shows what fits; of the rest an ending can still be waited for', async (t) => {
  const app = await boot(t, { websocket: { heartbeatMs: 20 } })
  const { client, heard, cut } = await follow(t, app, { filter: { tags: ['night'], statuses: ['execution_started', 'execution_progress'] } })
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
  cut()
  shown.complete()
  hidden.complete()
  t.match(await ended, { missionId: 'hidden', status: 'completed' })
  t.match(await client.waitFor('shown'), { status: 'completed' })
  t.strictSame(heard.map(({ missionId, status }) => `${missionId} ${status}`), ['shown execution_started', 'shown completed'])
  t.strictSame(diverged, [])
})

t.test('a token goes along as a subprotocol, and a new one with each connection', async (t) => {
  const tokens: Array<string | undefined> = []
  const app = await boot(t, { onRequest: async (request) => { tokens.push(request.headers['sec-websocket-protocol']) } })
  let asked = 0
  const { client, cut, sockets } = await follow(t, app, { getToken: async () => `token-${++asked}` })
  await client.ready
  cut()
  await reach(client, 'waiting')
  await reach(client, 'open')
  t.strictSame(tokens, ['bearer,token-1', 'bearer,token-2'])
  t.equal(sockets[1]!.protocol, 'bearer')
})

t.test('a kept cursor brings a new client of the same place what the old one missed', async (t) => {
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
  t.strictSame(after.heard.map(({ missionId, status, snapshot }) => [missionId, status, snapshot]), [['a', 'completed', undefined], ['b', 'planning_started', true]])
})

/** Whether this Node.js has a WebSocket of its own, if only behind a flag. */
function findOwnWebSocket (): Available {
  const { status } = spawnSync(process.execPath, ['--experimental-websocket', '-e', 'new WebSocket("ws://127.0.0.1:1").onerror = () => {}'])
  return status === 0 ? { path: process.execPath } : { skip: 'this Node.js has no WebSocket of its own' }
}

t.test('the WebSocket of Node.js itself will do', onlyWith(findOwnWebSocket()), async (t) => {
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
  let said = ''
  child.stdout.on('data', (text) => {
    said += String(text)
    if (said.includes('planning_started')) app.missions.report('a', 'completed')
  })
  await once(child, 'close')
  t.strictSame(said.trim().split('\n'), ['open connected', 'planning_started', 'completed', 'closed closed'])
})
