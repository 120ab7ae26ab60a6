import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import missionControl from '../lib/index.js'
import { bearerToken } from '../lib/access/bearer-token.js'
import { Expiry } from '../lib/hub/connections/expiry.js'
import { hideParameter } from '../lib/routes/query-token.js'
import type { AccessOptions } from '../lib/mission-control.js'
import type { Principal } from '../schemas/index.js'
import { boot, uncaught } from './support/app.js'
import { connect, tryUpgrade, type Client } from './support/client.js'

const NOW = Date.UTC(2026, 5, 1)
const CHANNELS = ['mission_update', 'mission_stats', 'health_delta', 'anomaly_alert', 'metrics_tick']

/** Boots a service on a virtual clock. A token is a principal as JSON. */
async function serve (t: Test, access: Partial<AccessOptions> = {}, options: object = {}) {
  const clock = createVirtualClock(NOW)
  const app = await boot(t, {
    clock,
    websocket: { heartbeatMs: 1_000_000_000, maxConnectionsPerSecond: 100_000 },
    access: { identify: ({ headers }) => read(headers['x-token']), refresh: (token) => read(token), ...access },
    ...options
  })
  return { app, clock }
}

const read = (token: unknown): Principal | null => {
  if (typeof token !== 'string') return null
  try {
    return JSON.parse(token) as Principal
  } catch {
    return null
  }
}
const tokenFor = (principal: object): string => JSON.stringify(principal)
const as = async (app: FastifyInstance, principal: object): Promise<Client> =>
  await connect(app, { headers: { 'x-token': tokenFor(principal) } })

const typesOf = async (client: Client) => (await client.settle()).map(({ type }) => type)
const turns = async () => { for (let at = 0; at < 5; at++) await new Promise((resolve) => setImmediate(resolve)) }

t.test('an upgrade and a request of nobody', async (t) => {
  t.test('are answered with 401, and no WebSocket opens', async (t) => {
    const answers: Record<string, () => unknown> = {
      null: () => null,
      garbage: () => 'ann',
      throw: () => { throw new Error('canary') },
      rejection: async () => { throw new Error('canary') },
      expired: () => ({ id: 'ann', expiresAt: NOW - 1 })
    }
    for (const [title, identify] of Object.entries(answers)) {
      const { app } = await serve(t, { identify: identify as never })
      const caught = await uncaught(async () => {
        t.equal(await tryUpgrade(app), 401, title)
        for (const url of ['/mission-control/ws-metrics', '/api/v1/metrics/prometheus', '/health?details=true', '/mission-control/asyncapi.json']) {
          const response = await app.inject(url)
          t.equal(response.statusCode, 401, `${title} ${url}`)
          t.strictSame(response.json(), { statusCode: 401, code: 'FST_MC_UNAUTHORIZED', error: 'Unauthorized', message: 'Authentication is required' })
          t.equal(response.headers['www-authenticate'], 'Bearer')
        }
      })
      t.strictSame(caught, [])
      for (const url of ['/health', '/health?probe=live', '/health?probe=ready&details=true', '/health?details=false']) t.not((await app.inject(url)).statusCode, 401, url)
      t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
    }
  })

  t.test('wait for identify at most five seconds, and delay nobody', async (t) => {
    const { app, clock } = await serve(t, { identify: async ({ headers }) => headers['x-token'] === undefined ? await new Promise<null>(() => {}) : { id: 'ann' } })
    const hanging = Array.from({ length: 200 }, async () => await tryUpgrade(app))
    const page = app.inject('/mission-control/ws-metrics')
    const client = await connect(app, { headers: { 'x-token': 'x' } })
    client.send({ type: 'ping', id: 'p' })
    t.equal((await client.next('pong')).replyTo, 'p')
    while (app.server.listening && (await new Promise<number>((resolve) => app.server.getConnections((_err, count) => resolve(count)))) < 201) await turns()
    await turns()
    clock.advance(5_000)
    t.strictSame(new Set(await Promise.all(hanging)), new Set([401]))
    t.equal((await page).statusCode, 401)
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
  })

  t.test('identify runs once for each of them', async (t) => {
    const urls: string[] = []
    const { app } = await serve(t, { identify: ({ url }) => { urls.push(url); return { id: 'root' } } })
    const client = await connect(app)
    await client.subscribe(...CHANNELS)
    client.send({ type: 'mission_get', missionId: 'a' })
    await client.settle()
    for (const url of ['/health', '/health?details=true', '/mission-control/ws-metrics', '/nowhere']) await app.inject(url)
    t.strictSame(urls, ['/ws/mission-control', '/health?details=true', '/mission-control/ws-metrics'])
  })

  t.test('no spelling of the path leads around identify', async (t) => {
    const { app } = await serve(t)
    const spellings = [
      '//ws/mission-control', '/ws//mission-control', '/ws/mission-control/', '/WS/mission-control', '/%77s/mission-control', '/ws/mission%2Dcontrol',
      '/ws/./mission-control', '/x/../ws/mission-control', '/ws/mission-control?x', '/ws/mission-control%23x', '/ws/mission-control;x', '/ws\\mission-control'
    ]
    for (const path of spellings) t.not(await tryUpgrade(app, { path }), 101, path)
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
  })
})

t.test('a principal that expires', async (t) => {
  t.test('is told a minute before, and its connection is closed with 4401', async (t) => {
    const { app, clock } = await serve(t)
    const client = await as(app, { id: 'ann', expiresAt: NOW + 100_000 })
    const other = await as(app, { id: 'bob' })
    await client.subscribe('mission_update')
    clock.advance(39_999)
    t.strictSame(await typesOf(client), [])
    clock.advance(1)
    t.strictSame((await client.next('auth_expiring')).payload, { inMs: 60_000 })
    clock.advance(59_999)
    app.missions.start('before')
    t.match(await client.next('mission_update'), { payload: { name: 'before' } })
    clock.advance(1)
    app.missions.start('after')
    t.strictSame(await client.closed, { code: 4401, reason: 'token_expired' })
    t.notOk(client.received.some((message) => message.type === 'mission_update' && message.payload.name === 'after'), 'nothing follows')
    t.strictSame(await typesOf(other), [], 'others stay connected')
    t.match((await app.missionControl.metrics.render()).body, /ws_closed_total\{reason="token_expired"\} 1/)
  })

  t.test('is told at once if less than a minute is left', async (t) => {
    const { app, clock } = await serve(t)
    const client = await as(app, { id: 'ann', expiresAt: NOW + 5_000 })
    clock.advance(0)
    t.strictSame((await client.next('auth_expiring')).payload, { inMs: 5_000 })
    clock.advance(4_999)
    t.strictSame(await typesOf(client), [], 'and only once')
    clock.advance(1)
    t.match(await client.closed, { code: 4401 })
  })

  t.test('may be as far in the future as can be', async (t) => {
    const { app, clock } = await serve(t)
    const client = await as(app, { id: 'ann', expiresAt: NOW + 100 * 86_400_000 })
    clock.advance(30 * 86_400_000)
    t.notOk((await typesOf(client)).includes('auth_expiring'))
    clock.advance(70 * 86_400_000 - 60_000)
    t.strictSame((await client.next('auth_expiring')).payload, { inMs: 60_000 })
  })

  t.test('costs no timer after its connection was closed', async (t) => {
    const { app, clock } = await serve(t)
    const client = await as(app, { id: 'ann', expiresAt: NOW + 100_000 })
    await client.close()
    while (app.missionControl.wsMetrics().connectionsOpen > 0) await turns()
    clock.advance(200_000)
    t.match((await app.missionControl.metrics.render()).body, /ws_closed_total\{reason="token_expired"\} 0/)
  })
})

t.test('a timer that runs a little early neither closes the connection nor tells the client twice', async (t) => {
  let now = NOW
  const timers: Array<() => void> = []
  const clock = { ...createVirtualClock(NOW), now: () => now, after: (_ms: number, run: () => void) => { timers.push(run); return { cancel () {} } } }
  const done: unknown[] = []
  const connection = { viewer: { expiresAt: NOW + 100 }, outbox: { send: (message: unknown) => done.push(message) }, close: (reason: string) => done.push(reason) }
  const expiry = new Expiry({ clock, envelope: { message: (type: string, body: object) => [type, body] } } as never)
  expiry.watch(connection as never)
  timers.shift()!()
  now += 99.5
  timers.shift()!()
  now += 0.5
  timers.shift()!()
  t.strictSame(done, [['auth_expiring', { payload: { inMs: 100 } }], 'token_expired'])
  t.equal(timers.length, 0)
})

t.test('a new token', async (t) => {
  const refresh = async (client: Client, principal: unknown) => client.send({ type: 'auth_refresh', token: JSON.stringify(principal), id: 'r' })

  t.test('keeps the connection open', async (t) => {
    const { app, clock } = await serve(t)
    const client = await as(app, { id: 'ann', tenant: 'acme', expiresAt: NOW + 10_000 })
    await client.subscribe('mission_update')
    await refresh(client, { id: 'ann', tenant: 'acme', expiresAt: NOW + 100_000 })
    t.match(await client.next('auth_refreshed'), { replyTo: 'r', payload: { expiresInMs: 100_000 } })
    clock.advance(50_000)
    app.missions.start({ name: 'job', tenant: 'acme' })
    t.match(await client.next('mission_update'), { payload: { name: 'job' } })
    t.strictSame((await client.next('auth_expiring', ({ payload }) => payload.inMs < 60_000)).payload, { inMs: 50_000 }, 'not before half of the time is over')
    await refresh(client, { id: 'ann', tenant: 'acme' })
    t.strictSame((await client.next('auth_refreshed')).payload, {}, 'it never expires')
    clock.advance(1_000_000)
    t.notOk((await typesOf(client)).includes('auth_expiring'))
  })

  t.test('that is refused closes the connection with 4401', async (t) => {
    const refused: unknown[] = [null, { id: 'bob', tenant: 'acme' }, { id: 'ann', tenant: 'other' }, { id: 'ann' }, { id: 'ann', tenant: 'acme', expiresAt: NOW - 1 }, 'text', 7]
    for (const principal of refused) {
      const { app } = await serve(t)
      const client = await as(app, { id: 'ann', tenant: 'acme' })
      await client.subscribe('mission_update')
      await refresh(client, principal)
      t.strictSame(await client.closed, { code: 4401, reason: 'unauthorised' }, JSON.stringify(principal))
    }
  })

  t.test('takes rights away at once', async (t) => {
    const { app } = await serve(t, { authorize: ({ roles = [] }, { channel }) => channel === undefined || roles.includes(channel) })
    const client = await as(app, { id: 'ann', roles: CHANNELS })
    await client.subscribe(...CHANNELS)
    await client.settle()
    await refresh(client, { id: 'ann', roles: ['mission_stats', 'metrics_tick'] })
    const messages = await client.settle()
    const revoked = messages.flatMap((message) => message.type === 'subscription_revoked' ? [message.payload.channel] : [])
    t.strictSame(revoked.sort(), ['anomaly_alert', 'health_delta', 'mission_update'])
    app.missions.start('job')
    t.strictSame((await typesOf(client)).filter((type) => type === 'mission_update'), [])
    t.strictSame((await client.send({ type: 'whoami' }).next('whoami')).payload.channels, ['metrics_tick', 'mission_stats'])
    client.send({ type: 'subscribe', channels: ['mission_update'] })
    t.equal((await client.next('subscription_error')).error.code, 'forbidden')
  })

  t.test('is not supported without refresh, and is refused while another one is checked', async (t) => {
    const { app } = await serve(t, { refresh: undefined as never })
    const client = await as(app, { id: 'ann' })
    await refresh(client, { id: 'ann' })
    t.match(await client.next('protocol_error'), { replyTo: 'r', error: { code: 'unsupported' } })
    t.notOk((await client.send({ type: 'whoami' }).next('whoami')).payload.capabilities.includes('auth_refresh'))
    let answer!: (principal: Principal) => void
    const slow = await serve(t, { refresh: () => new Promise((resolve) => { answer = resolve }) })
    const waiting = await as(slow.app, { id: 'ann' })
    t.ok((await waiting.send({ type: 'whoami' }).next('whoami')).payload.capabilities.includes('auth_refresh'))
    await refresh(waiting, { id: 'ann' })
    await refresh(waiting, { id: 'ann' })
    t.match(await waiting.next('protocol_error'), { error: { code: 'forbidden' } })
    answer({ id: 'ann' })
    await waiting.next('auth_refreshed')
    await refresh(waiting, { id: 'ann' })
    await waiting.settle()
    waiting.socket.terminate()
    while (slow.app.missionControl.wsMetrics().connectionsOpen > 0) await turns()
    answer({ id: 'ann' })
    await turns()
  })

  t.test('is nobody if the host does not answer within five seconds', async (t) => {
    const { app, clock } = await serve(t, { refresh: () => new Promise(() => {}) })
    const client = await as(app, { id: 'ann' })
    await refresh(client, { id: 'ann' })
    await client.settle()
    clock.advance(5_000)
    t.strictSame(await client.closed, { code: 4401, reason: 'unauthorised' })
  })
})

t.test('revoke closes the connections of a principal at once, and returns their number', async (t) => {
  const { app } = await serve(t)
  const [ann, again, bob, olga] = await Promise.all([as(app, { id: 'ann', tenant: 'acme' }), as(app, { id: 'ann', tenant: 'acme' }), as(app, { id: 'bob', tenant: 'acme' }), as(app, { id: 'olga' })])
  for (const client of [ann, again, bob, olga]) await client.subscribe('mission_update')
  t.equal(app.missionControl.revoke('nobody'), 0)
  t.equal(app.missionControl.revoke('ann'), 2)
  app.missions.start({ name: 'after', tenant: 'acme' })
  for (const client of [ann, again]) {
    t.strictSame(await client.closed, { code: 4401, reason: 'unauthorised' })
    t.notOk(client.received.some(({ type }) => type === 'mission_update'))
  }
  t.match(await bob.next('mission_update'), { payload: { name: 'after' } })
  t.equal(app.missionControl.revoke(({ tenant }) => tenant === 'acme'), 1)
  t.match(await bob.closed, { code: 4401 })
  t.equal(app.missionControl.revoke(() => 1 as never), 0, 'only true counts')
  t.throws(() => app.missionControl.revoke(() => { throw new Error('mine') }), { message: 'mine' })
  t.match(await olga.next('mission_update'), { payload: { name: 'after' } })
})

t.test('a token in a query is removed from the log', async (t) => {
  t.strictSame(['/a', '/a?b=1', '/a?token=x', '/a?b=1&token=x&c=2', '/a?%74oken=x', '/a?token', '/a?tokens=x', '/a?b=1&token=x=y#z'].map((url) => hideParameter(url, 'token')),
    ['/a', '/a?b=1', '/a?token=[hidden]', '/a?b=1&token=[hidden]&c=2', '/a?%74oken=[hidden]', '/a?token=[hidden]', '/a?tokens=x', '/a?b=1&token=[hidden]'])
  for (const serializers of [undefined, { req: ({ url }: { url: string }) => ({ url, mine: true }) }, { req: () => 'text' }]) {
    const lines: string[] = []
    const stream = new Writable({ write (chunk, _encoding, done) { lines.push(String(chunk)); done() } })
    const app = await boot(t, {
      access: { identify: (request) => bearerToken(request, 'token') === 'canary-token' ? { id: 'ann' } : null, queryToken: 'token' }
    }, { logger: { level: 'trace', stream, ...(serializers && { serializers: serializers as never }) } })
    t.equal((await app.inject('/mission-control/ws-metrics?token=canary-token&a=1')).statusCode, 200)
    t.equal((await app.inject('/mission-control/ws-metrics?token=wrong')).statusCode, 401)
    const client = await connect(app, { path: '/ws/mission-control?token=canary-token' })
    await client.close()
    t.notMatch(lines.join(''), /canary-token|wrong/)
    const scoped = Fastify({ logger: { level: 'trace', stream } })
    t.teardown(() => scoped.close())
    await scoped.register(async (scope) => {
      await scope.register(missionControl, { access: { identify: () => null, queryToken: 'token' } })
    }, { logSerializers: { req: ({ url }: { url: string }) => ({ url, scoped: true }) } as never })
    await scoped.inject('/mission-control/ws-metrics?token=canary-token')
    t.match(lines.at(-2), /"url":"[^"]*token=\[hidden\]","scoped":true/)
  }
  const logged: unknown[] = []
  const noop = () => {}
  const loggerInstance = {
    ...Object.fromEntries(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => [level, noop])),
    level: 'info',
    child (_bindings: object, options?: { serializers?: { req: (value: unknown) => unknown } }) {
      logged.push(options?.serializers?.req({ url: '/a?token=canary-token', method: 'GET' }))
      return loggerInstance
    }
  }
  const own = await boot(t, { access: { identify: () => null, queryToken: 'token' } }, { loggerInstance } as never)
  await own.inject('/mission-control/ws-metrics')
  t.strictSame(logged.at(-1), { url: '/a?token=[hidden]', method: 'GET' }, 'a logger of the host gets a serializer')
})

t.test('a token appears in no log, answer or metric', async (t) => {
  const lines: string[] = []
  const stream = new Writable({
    write (chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    }
  })
  const clock = createVirtualClock(NOW)
  const secret = 'canary-token'
  const app = await boot(t, {
    clock,
    access: {
      identify: ({ headers }) => headers['x-token'] === undefined && headers['sec-websocket-protocol'] === undefined ? null : { id: 'ann' },
      refresh: (token) => { throw new Error(`cannot read it${token.slice(0, 0)}`) }
    }
  }, { logger: { level: 'trace', stream } })
  const client = await connect(app, { headers: { 'x-token': secret } })
  await client.subscribe('mission_update')
  client.send({ type: 'auth_refresh', token: secret, id: 'r', extra: true })
  t.match(await client.next('protocol_error'), { error: { code: 'invalid_message' } })
  client.send({ type: 'auth_refresh', token: secret, id: 'r' })
  await client.closed
  const texts = [...lines, ...client.received.map((message) => JSON.stringify(message))]
  for (const url of ['/health?details=true', '/mission-control/ws-metrics', '/api/v1/metrics/prometheus', '/mission-control/asyncapi.json']) {
    texts.push((await app.inject({ url, headers: { 'x-token': secret } })).body)
  }
  t.ok(lines.length > 3)
  t.strictSame(texts.filter((text) => text.includes(secret)), [])
})
