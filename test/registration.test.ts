import { createRequire } from 'node:module'
import { connect as connectTcp } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import websocket from '@fastify/websocket'
import Fastify, {
  type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions
} from 'fastify'
import { AggregatorRegistry, Counter, Registry } from 'prom-client'
import t from 'tap'
import { WebSocket } from 'ws'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import missionControl, { missionControl as named, type MissionControlOptions } from '../lib/index.js'
import { describeBounds, resolveOptions } from '../lib/base/options.js'
import { Options } from '../schemas/index.js'
import { boot, closingSoon, uncaught } from './support/app.js'
import { connect, tryUpgrade, urlOf } from './support/client.js'
import { exchange, upgradeRequest } from './support/raw-client.js'

const refusal = async (options: unknown): Promise<{ code: string, message: string }> => {
  const app = Fastify()
  try {
    await app.register(missionControl, options as MissionControlOptions)
    throw new Error(`${JSON.stringify(options)} was accepted`)
  } catch (err) {
    return err as { code: string, message: string }
  } finally {
    await app.close()
  }
}

t.test('with an invalid option the service does not start, and the error names the option, its value and its bounds', async (t) => {
  const cases: Array<[unknown, RegExp]> = [
    [{ websocket: { heartbeatMs: 0 } }, /websocket\.heartbeatMs is 0, but must be a whole number from 1 to 2147483647$/],
    [{ websocket: { heartbeatMs: 1.5 } }, /websocket\.heartbeatMs is 1\.5, but/],
    [{ websocket: { heartbeatMs: '30s' } }, /websocket\.heartbeatMs is "30s", but/],
    [{ websocket: { heartbeatMs: NaN } }, /websocket\.heartbeatMs is NaN, but/],
    [{ websocket: { heartbeatMs: 10n } }, /websocket\.heartbeatMs is a bigint, but/],
    [{ websocket: { maxPayloadBytes: 255 } }, /from 256 to 16777216$/],
    [{ websocket: { maxConnections: 0 } }, /websocket\.maxConnections/],
    [{ websocket: { maxMessagesPerSecond: -1 } }, /websocket\.maxMessagesPerSecond is -1/],
    [{ websocket: { path: 'ws' } }, /websocket\.path is "ws", but must be a string that matches/],
    [{ websocket: { allowedOrigins: 'https://a.example' } }, /websocket\.allowedOrigins is "https:\/\/a\.example", but must be "same-origin", "\*" or a list/],
    [{ websocket: { allowedOrigins: ['https://a.example/'] } }, /websocket\.allowedOrigins is a list of length 1, but/],
    [{ websocket: { allowedOrigins: ['https://a.example:99999'] } }, /websocket\.allowedOrigins is a list of length 1, but/],
    [{ websocket: { allowedOrigins: ['https://[::1'] } }, /websocket\.allowedOrigins is a list of length 1, but/],
    [{ websocket: { allowedOrigins: [5] } }, /websocket\.allowedOrigins is a list of length 1, but/],
    [{ websocket: { allowedOrigins: null } }, /websocket\.allowedOrigins is null, but/],
    [{ websocket: null }, /websocket is null, but must be an object$/],
    [{ websocket: [] }, /websocket is a list of length 0, but/],
    [{ websocket: { heartbeat: 5 } }, /websocket\.heartbeat is not an option; the options are path, heartbeatMs/],
    [{ websocket: { history: { maxMessages: 0 } } }, /websocket\.history\.maxMessages is 0, but must be a whole number/],
    [{ websocket: { history: { size: 1 } } }, /websocket\.history\.size is not an option; the options are maxMessages, maxBytes, maxAgeMs$/],
    [{ access: {} }, /access\.identify is missing$/], [{ access: { identify: 'me' } }, /access\.identify is "me", but must be a function that returns a principal or null/],
    [{ sockets: {} }, /sockets is not an option; the options are prefix, server, websocket/],
    [{ server: { name: '' } }, /server\.name is "", but must be a string of 1 to 128 characters$/],
    [{ routes: { health: true } }, /routes\.health is true, but must be false, or a path that starts with \/$/],
    [{ routes: { health: 'health' } }, /routes\.health is "health", but/],
    [{ monitoring: { trackRequests: 'yes' } }, /monitoring\.trackRequests is "yes", but must be true or false$/],
    [{ health: { provider: {} } }, /health\.provider is an object, but must be a function that returns a health report$/],
    [{ health: { provider: Symbol('x') } }, /health\.provider is a symbol, but/],
    [{ prometheus: { registry: 'mine' } }, /prometheus\.registry is "mine", but must be a prom-client Registry$/],
    [{ prometheus: { prefix: 'my-' } }, /prometheus\.prefix is "my-", but/],
    [{ onRequest: [async () => {}, 'no'] }, /onRequest is a list of length 2, but must be a Fastify onRequest hook or a list of them$/],
    [{ clock: () => 0 }, /clock is a function, but must be a clock/],
    [{ prefix: '/x?y' }, /prefix is "\/x\?y", but/]
  ]
  for (const [options, message] of cases) {
    const err = await refusal(options)
    t.equal(err.code, 'FST_MC_INVALID_OPTION', String(message))
    t.match(err.message, message)
  }
})

t.test('there are at most 72 options, and each has a description', async (t) => {
  const leaves = (schema: Schema, path: string): Array<[string, Schema]> => schema.properties === undefined || schema.expected !== undefined
    ? [[path, schema]]
    : Object.entries(schema.properties).flatMap(([name, child]) => leaves(child, `${path}.${name}`))
  const all = leaves(Options as Schema, 'options')
  t.ok(all.length <= 72, `${all.length} options`)
  for (const [path, { description }] of all) t.match(description, /^.+\.$|^.+by default\.$/, path)
})

interface Schema { properties?: Record<string, Schema>, expected?: string, description?: string }

t.test('options that are not an object are refused', async (t) => {
  t.throws(() => resolveOptions('x' as never, {}), { code: 'FST_MC_INVALID_OPTION', message: /the options object is "x", but must be an object/ })
})

t.test('bounds are described from the schema', async (t) => {
  t.equal(describeBounds({ expected: 'mine' }), 'mine')
  t.equal(describeBounds({ type: 'integer', minimum: 1, maximum: 2 }), 'a whole number from 1 to 2')
  t.equal(describeBounds({ type: 'string', pattern: '^a', maxLength: 3 }), 'a string that matches ^a, at most 3 characters')
})

t.test('options are completed and frozen, and the host\'s own object is not changed', async (t) => {
  const input = Object.freeze({ websocket: Object.freeze({ heartbeatMs: 5, path: undefined }), channels: undefined })
  const options = resolveOptions(input as never, {})
  t.match(options, {
    server: { name: 'mission-control', version: '0.0.0' },
    websocket: { path: '/ws/mission-control', heartbeatMs: 5, maxPayloadBytes: 16_384, allowedOrigins: 'same-origin', maxConnections: 10_000, maxMessagesPerSecond: 50 },
    channels: { metricsTickMinMs: 2_500, missionStatsMs: 10_000, anomalyAlertMs: 15_000 },
    routes: { wsMetrics: '/mission-control/ws-metrics', health: '/health', prometheus: '/api/v1/metrics/prometheus' },
    monitoring: { trackRequests: false },
    prometheus: { prefix: 'mission_control_' }
  })
  t.throws(() => { options.websocket.heartbeatMs = 6 }, TypeError)
  const registry = new Registry()
  const clock = createVirtualClock()
  const kept = resolveOptions({ prometheus: { registry }, clock, websocket: { allowedOrigins: ['https://a.example'] } }, {})
  t.equal(kept.prometheus.registry, registry)
  t.equal(kept.clock, clock)
  t.notOk(Object.isFrozen(clock) || Object.isFrozen(registry), 'objects of the host are not touched')
  t.throws(() => { (kept.websocket.allowedOrigins as string[]).push('x') }, TypeError)
})

t.test('options of any class behave like plain ones and are not changed', async (t) => {
  class Group {
    heartbeatMs = 5_000
    get path () { return '/live' }
  }
  class Rules {
    readonly #id = 'ann'
    identify () { return { id: this.#id } }
    authorize ({ id }: { id: string }) { return id === this.#id }
  }
  class Outer {
    websocket = new Group()
    access = new Rules()
    get server () { return Object.freeze({ name: 'imports' }) }
  }
  const source = 'export const server = { name: "imports" }; export const websocket = { heartbeatMs: 5000, path: "/live" }; export const access = { identify: () => ({ id: "ann" }), authorize: () => true }'
  const plain = { server: { name: 'imports' }, websocket: { heartbeatMs: 5_000, path: '/live' }, access: { identify: () => ({ id: 'ann' }), authorize: () => true } }
  const bare = Object.assign(Object.create(null), { server: Object.assign(Object.create(null), plain.server), websocket: plain.websocket, access: Object.assign(Object.create(null), plain.access) })
  const frozen = Object.freeze({ server: Object.freeze({ ...plain.server }), websocket: Object.freeze({ ...plain.websocket }), access: Object.freeze({ ...plain.access }) })
  const kinds: Record<string, object> = {
    'a class instance': new Outer(), 'an object without a prototype': bare, 'a frozen object': frozen, 'a module namespace': await import(`data:text/javascript,${source}`)
  }
  for (const [kind, options] of Object.entries(kinds)) {
    const before = JSON.stringify([options, Reflect.ownKeys(options)])
    const resolved = resolveOptions(options as never, {})
    t.match(resolved, { server: { name: 'imports', version: '0.0.0' }, websocket: { heartbeatMs: 5_000, path: '/live' }, missions: { maxActive: 10_000 } }, kind)
    const { identify, authorize } = resolved.access!
    t.strictSame([identify(), authorize!({ id: 'ann' } as never)], [{ id: 'ann' }, true], `${kind}: a method keeps its object`)
    t.equal(JSON.stringify([options, Reflect.ownKeys(options)]), before, `${kind} is not changed`)
    t.notOk(Object.isFrozen((options as Outer).websocket) && kind !== 'a frozen object')
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(missionControl, options)
    await app.ready()
    t.equal((await app.inject('/health')).json().server, 'imports', kind)
    t.equal((await app.inject('/live')).statusCode, 426, kind)
    t.equal((await app.inject('/api/v1/metrics/prometheus')).statusCode, 200, kind)
  }
  class Misspelt { heartbeat = 5 }
  t.throws(() => resolveOptions({ websocket: new Misspelt() } as never, {}), /websocket\.heartbeat is not an option/)
})

t.test('an allowed origin is compared as browsers send it', async (t) => {
  const cases = [
    ['HTTPS://Ops.Example.COM', 'https://ops.example.com'], ['https://ops.example.com:443', 'https://ops.example.com'], ['http://a:80', 'http://a'],
    ['http://a:443', 'http://a:443'], ['http://[::1]:80', 'http://[::1]'], ['https://b\u00fccher.example', 'https://xn--bcher-kva.example'],
    ['chrome-extension://ABCdef', 'chrome-extension://abcdef'], ['tauri://LocalHost:1420', 'tauri://localhost:1420']
  ]
  const { websocket } = resolveOptions({ websocket: { allowedOrigins: cases.map(([given]) => given!) } }, {})
  t.strictSame(websocket.allowedOrigins, cases.map(([, sent]) => sent))
})

t.test('environment variables set options that the code leaves out, and with an invalid value the service does not start', async (t) => {
  const variables = {
    ONEAGENT_MISSION_STATS_INTERVAL_MS: 'missionStatsMs',
    ONEAGENT_ANOMALY_ALERT_INTERVAL_MS: 'anomalyAlertMs',
    ONEAGENT_METRICS_TICK_MIN_INTERVAL_MS: 'metricsTickMinMs'
  } as const
  for (const [variable, option] of Object.entries(variables)) {
    t.equal(resolveOptions({}, { [variable]: '1234' }).channels[option], 1_234, variable)
    t.equal(resolveOptions({ channels: { [option]: 7 } }, { [variable]: '1234' }).channels[option], 7, 'code wins')
    for (const value of ['0', '-1', '1.5', '1e3', '10s', ' 5', '', '2147483648', '99999999999']) {
      t.throws(() => resolveOptions({}, { [variable]: value }), { code: 'FST_MC_INVALID_ENVIRONMENT', message: new RegExp(`${variable} is "${value.replace('.', '\\.')}"`) })
    }
  }
  t.throws(() => resolveOptions({ channels: 5 } as never, { ONEAGENT_MISSION_STATS_INTERVAL_MS: '5' }), { code: 'FST_MC_INVALID_OPTION' })
  process.env['ONEAGENT_MISSION_STATS_INTERVAL_MS'] = '40'
  t.teardown(() => { delete process.env['ONEAGENT_MISSION_STATS_INTERVAL_MS'] })
  const clock = createVirtualClock()
  const client = await connect(await boot(t, { clock }))
  await client.subscribe('mission_stats')
  await client.settle()
  clock.advance(40)
  t.ok(await client.next('mission_stats'), 'read when the plugin is registered')
})

t.test('registering twice throws an error that says what to do instead', async (t) => {
  const app = await boot(t)
  await t.rejects(async () => await app.register(missionControl), { code: 'FST_MC_ALREADY_REGISTERED', message: /app\.missions/ })
  await t.rejects(async () => await app.register(async (scope) => { await scope.register(missionControl) }), { code: 'FST_MC_ALREADY_REGISTERED' })
})

t.test('registering twice on one server is refused in any shape of scopes, and the server closes', async (t) => {
  const register = (prefix: string) => async (scope: FastifyInstance) => { await scope.register(missionControl, { prefix }) }
  const shapes: Record<string, (app: FastifyInstance) => Promise<unknown>> = {
    siblings: async (app) => { await app.register(register('/a')); await app.register(register('/b')) },
    'child, then root': async (app) => { await app.register(register('/a')); await app.register(missionControl) },
    'root, then child': async (app) => { await app.register(missionControl); await app.register(register('/b')) },
    'child, then a scope inside a sibling': async (app) => {
      await app.register(register('/a'))
      await app.register(async (scope) => { await scope.register(register('/b')) })
    }
  }
  for (const [shape, load] of Object.entries(shapes)) {
    const app = Fastify()
    await t.rejects(async () => await load(app), { code: 'FST_MC_ALREADY_REGISTERED' }, shape)
    await app.close()
  }
  const failed = Fastify()
  t.teardown(() => failed.close())
  await failed.register(async (scope) => {
    await t.rejects(async () => { await missionControl(scope, { prefix: 5 } as never) }, { code: 'FST_MC_INVALID_OPTION' })
    await missionControl(scope, {})
  })
  t.equal((await failed.inject('/health')).statusCode, 200, 'a refused first registration leaves the server free')
})

t.test('the plugin is the default export, a named export, and the result of require', async (t) => {
  t.equal(missionControl, named)
  t.equal((await import('../lib/index.js'))['module.exports'], missionControl)
  t.equal((missionControl as unknown as Record<symbol, unknown>)[Symbol.for('skip-override')], true)
  t.ok(createRequire(import.meta.url)('fastify-plugin'))
  const { default: plugin, 'module.exports': _, ...exported } = await import('../lib/index.js')
  t.ok(Object.keys(exported).length > 3)
  for (const [name, value] of Object.entries(exported)) t.equal((plugin as unknown as typeof exported)[name as 'missionControl'], value, `with ${name} as a property`)
})

t.test('every route can be moved or disabled', async (t) => {
  const moved = await boot(t, {
    websocket: { path: '/live' }, routes: { wsMetrics: '/a', health: '/b', prometheus: '/c', asyncapi: '/d' }
  })
  for (const url of ['/a', '/b', '/c', '/d']) t.equal((await moved.inject(url)).statusCode, 200, url)
  t.equal(await tryUpgrade(moved, { path: '/live' }), 101)
  t.equal(await tryUpgrade(moved), 404)
  const none = await boot(t, { routes: { wsMetrics: false, health: false, prometheus: false, asyncapi: false } })
  for (const url of ['/mission-control/ws-metrics', '/mission-control/asyncapi.json', '/health', '/api/v1/metrics/prometheus']) t.equal((await none.inject(url)).statusCode, 404, url)
})

t.test('a plain request to the WebSocket route gets 426', async (t) => {
  const app = await boot(t)
  t.match((await app.inject('/ws/mission-control')).json(), { statusCode: 426, code: 'FST_MC_UPGRADE_REQUIRED' })
  t.equal((await app.inject({ method: 'HEAD', url: '/ws/mission-control' })).statusCode, 404)
})

t.test('everything works under a prefix, of the plugin or of the scope in which it is registered', async (t) => {
  const own = await boot(t, { prefix: '/ops' })
  const nested = Fastify()
  t.teardown(() => nested.close())
  await nested.register(async (scope) => { await scope.register(missionControl, { prefix: '/b' }) }, { prefix: '/a' })
  for (const [app, prefix] of [[own, '/ops'], [nested, '/a/b']] as const) {
    t.equal((await app.inject(`${prefix}/health`)).statusCode, 200)
    t.equal((await app.inject('/health')).statusCode, 404)
    const client = await connect(app, { path: `${prefix}/ws/mission-control` })
    t.ok(await client.send({ type: 'ping' }).next('pong'))
  }
})

t.test('hooks run before every route, including the upgrade', async (t) => {
  const seen: string[] = []
  const app = await boot(t, {
    onRequest: [
      async (request) => { seen.push(request.url) },
      (request, reply, done) => {
        if (request.headers.authorization === 'Bearer good') return done()
        reply.code(401).send({ error: 'no' })
      }
    ]
  })
  app.get('/host', async () => 'open')
  const urls = ['/health', '/health?probe=live', '/mission-control/ws-metrics', '/mission-control/asyncapi.json', '/api/v1/metrics/prometheus']
  for (const url of urls) {
    t.equal((await app.inject(url)).statusCode, 401, url)
    t.equal((await app.inject({ url, headers: { authorization: 'Bearer good' } })).statusCode, 200, url)
  }
  t.equal(await tryUpgrade(app), 401)
  const client = await connect(app, { headers: { authorization: 'Bearer good' } })
  t.ok(await client.send({ type: 'ping' }).next('pong'))
  t.equal((await app.inject('/host')).statusCode, 200, 'and in front of no other')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
  t.equal(seen.length, 12)

  const single = await boot(t, { onRequest: async () => { throw new Error('no') } })
  t.equal(await tryUpgrade(single), 500)
})

t.test('two apps in one process do not affect each other', async (t) => {
  const [first, second] = [await boot(t), await boot(t)]
  first.missions.start('job')
  const client = await connect(first)
  t.equal(first.missions.stats().total, 1)
  t.equal(second.missions.stats().total, 0)
  t.equal(second.missionControl.wsMetrics().connectionsTotal, 0)
  t.match((await second.missionControl.metrics.render()).body, /^oneagent_mission_total 0$/m)
  t.match((await first.missionControl.metrics.render()).body, /^oneagent_mission_total 1$/m)
  await client.close()
})

t.test('a prom-client registry of the host has the metrics of both, until the plugin removes its own on close', async (t) => {
  const registry = new Registry()
  const orders = new Counter({ name: 'orders_total', help: 'Orders.', registers: [registry] })
  orders.inc(3)
  const app = await boot(t, { prometheus: { registry } })
  t.match((await app.inject('/api/v1/metrics/prometheus')).body, /^orders_total 3$/m)
  t.match(await registry.metrics(), /^oneagent_mission_active 0$/m)
  const second = Fastify()
  await t.rejects(async () => await second.register(missionControl, { prometheus: { registry } }), { code: 'FST_MC_METRIC_NAME_TAKEN' })
  await second.close()
  t.match(await registry.metrics(), /^oneagent_mission_active 0$/m, 'a refused second app takes nothing away')
  await app.close()
  t.same((await registry.getMetricsAsJSON()).map(({ name }) => name), ['orders_total'])
})

t.test('in a cluster, counts are summed, and ratios and means can be divided from the sums', async (t) => {
  const clock = createVirtualClock()
  const workers = []
  for (const [completed, failed] of [[9, 1], [1, 1]] as const) {
    const registry = new Registry()
    const app = await boot(t, { clock, prometheus: { registry } })
    const missions = Array.from({ length: completed + failed }, () => app.missions.start('job'))
    clock.advance(500 * (failed + completed))
    for (const [at, mission] of missions.entries()) at < completed ? mission.complete() : mission.fail(new Error('no'))
    app.missions.start('still active')
    workers.push(await registry.getMetricsAsJSON())
  }
  const page = await AggregatorRegistry.aggregate(workers).metrics()
  const value = (name: string) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(page)?.[1])
  const ended = value('oneagent_mission_total') - value('oneagent_mission_active')
  t.equal(ended, 12)
  t.equal(value('oneagent_mission_errors') / ended, 2 / 12)
  t.equal(value('mission_control_missions_duration_seconds_total') / ended, (10 * 5 + 2 * 1) / 12)
  t.notMatch(page, /oneagent_mission_(error_rate|avg_duration_ms)/, 'a mean of means is not shown')
})

const echo = async (app: FastifyInstance) => app.get('/echo', { websocket: true }, (socket) => { socket.on('message', (data) => socket.send(String(data))) })

const hosts: Record<string, (options?: MissionControlOptions) => Promise<FastifyInstance>> = {
  'no @fastify/websocket of the host' (options) {
    const app = Fastify()
    return (async () => { await app.register(missionControl, closingSoon(options ?? {})); return app })()
  },
  'the host\'s registered before' (options) {
    const app = Fastify()
    return (async () => {
      await app.register(websocket)
      await app.register(missionControl, closingSoon(options ?? {}))
      await app.register(echo)
      return app
    })()
  },
  'the host\'s registered after' (options) {
    const app = Fastify()
    return (async () => {
      await app.register(missionControl, closingSoon(options ?? {}))
      await app.register(websocket)
      await app.register(echo)
      return app
    })()
  },
  'the host\'s registered before, in a scope of its own' (options) {
    const app = Fastify()
    return (async () => {
      await app.register(async (scope) => {
        await scope.register(websocket)
        await scope.register(echo)
      })
      await app.register(missionControl, closingSoon(options ?? {}))
      return app
    })()
  }
}

for (const [title, make] of Object.entries(hosts)) {
  t.test(`with ${title}`, async (t) => {
    const warnings: unknown[] = []
    const app = await make()
    t.teardown(() => app.close())
    app.log.warn = (...args: unknown[]) => { warnings.push(args) }
    const client = await connect(app)
    const frozen = await connect(app)
    frozen.socket.pause()
    await client.subscribe('mission_update')
    app.missions.start('job')
    t.equal((await client.next('mission_update')).payload.name, 'job')

    let host: WebSocket | undefined
    if (!title.startsWith('no ')) {
      host = new WebSocket(urlOf(app, '/echo'))
      await once(host, 'open')
      host.send('hello')
      t.equal(String((await once(host, 'message'))[0]), 'hello', 'the routes of the host work')
    }
    t.equal(await tryUpgrade(app, { path: '/health' }), 400, 'other routes of ours do not upgrade')
    // Registered in a scope, @fastify/websocket keeps the socket of an upgrade to an unknown path open forever, with or
    // without the plugin.
    if (!title.endsWith('scope of its own')) t.equal(await tryUpgrade(app, { path: '/nowhere' }), 404)
    t.equal(app.missionControl.wsMetrics().connectionsTotal, 2)

    app.missions.start('last words')
    const closing = app.close()
    t.equal((await client.next('mission_update')).payload.name, 'last words')
    t.same(await client.closed, { code: 1012, reason: 'server_restart' })
    host?.terminate()
    await closing
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0, 'a frozen client holds nothing up')
    t.same(warnings, [])
    frozen.socket.terminate()
  })
}

t.test('an upgrade to another path is served as the host would serve it without the plugin', async (t) => {
  const app = await boot(t)
  app.get('/plain', async () => 'plain')
  app.post('/plain', async () => 'taken')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const ask = async (head: string) => {
    const socket = connectTcp((app.server.address() as { port: number }).port, '127.0.0.1')
    socket.end(`${head}\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n`)
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    return answer
  }
  const handshake = upgradeRequest({ path: '/plain' })
  t.match(await exchange(app, handshake), /^HTTP\/1\.1 200 .*plain$/s, 'a WebSocket handshake too, and the connection ends')
  t.match(await exchange(app, handshake.replace('Host:', 'Content-Length: 2\r\nHost:')), /^HTTP\/1\.1 400 /)
  t.match(await ask('GET /plain HTTP/1.1'), /^HTTP\/1\.1 200 .*plain$/s)
  t.match(await ask('GET /health HTTP/1.1'), /^HTTP\/1\.1 200 /)
  t.match(await ask('GET /nowhere HTTP/1.1'), /^HTTP\/1\.1 404 /)
  t.match(await ask('POST /ws/mission-control HTTP/1.1'), /^HTTP\/1\.1 404 /)
  t.match(await ask('POST /plain HTTP/1.1'), /^HTTP\/1\.1 200 .*taken$/s, 'without a body')
  t.match(await ask('POST /plain HTTP/1.1\r\nContent-Length: 2'), /^HTTP\/1\.1 400 /, 'a body that cannot be read is not taken for none')
  t.match(await ask('POST /plain HTTP/1.1\r\nTransfer-Encoding: chunked'), /^HTTP\/1\.1 400 /)
})

const spellings: Record<string, { server?: FastifyServerOptions, prefix?: string, path: string, address?: string }> = {
  rewriteUrl: { server: { rewriteUrl: ({ url }) => url!.replace('/old', '') }, path: '/old/ws/mission-control' },
  ignoreTrailingSlash: { server: { routerOptions: { ignoreTrailingSlash: true } }, path: '/ws/mission-control/' },
  ignoreDuplicateSlashes: { server: { routerOptions: { ignoreDuplicateSlashes: true } }, path: '//ws//mission-control' },
  'caseSensitive: false': { server: { routerOptions: { caseSensitive: false } }, path: '/WS/Mission-Control' },
  'a parametric prefix': { prefix: '/:tenant', path: '/acme/ws/mission-control' },
  'a prefix that ends with a slash': { prefix: '/ops/', path: '/ops/ws/mission-control', address: '/ops/ws/mission-control' }
}

for (const [title, { server = {}, prefix = '', path, address }] of Object.entries(spellings)) {
  for (const order of ['without', 'before', 'after']) {
    t.test(`an upgrade is found by the router of Fastify: ${title}, ${order} a @fastify/websocket of the host`, async (t) => {
      const app = Fastify(server)
      t.teardown(() => app.close())
      const refuse = async (request: FastifyRequest, reply: FastifyReply) => {
        if (request.headers.authorization === undefined) return await reply.code(401).send()
      }
      if (order === 'after') await app.register(websocket)
      await app.register(missionControl, closingSoon({ prefix, onRequest: refuse, websocket: { maxConnections: 1 } }))
      if (order === 'before') await app.register(websocket)
      t.equal(await tryUpgrade(app, { path }), 401, 'hooks run')
      const headers = { authorization: 'x' }
      const client = await connect(app, { path, headers })
      t.ok(await client.send({ type: 'ping' }).next('pong'))
      t.equal(await tryUpgrade(app, { path, headers }), 503, 'limits apply')
      t.equal(await tryUpgrade(app, { path: '/nowhere', headers }), 404)
      if (address === undefined) return
      const document = (await app.inject({ url: `${prefix}mission-control/asyncapi.json`, headers })).json()
      t.equal(document.channels.missionControl.address, address)
    })
  }
}

t.test('an upgrade of any protocol that hangs in a hook of the host does not hold up the close', { timeout: 20_000 }, async (t) => {
  for (const protocol of ['h2c', 'websocket']) {
    const app = Fastify()
    let started = () => {}
    const hasStarted = new Promise<void>((resolve) => { started = resolve })
    app.addHook('onRequest', async () => {
      started()
      await new Promise(() => {})
    })
    await app.register(missionControl)
    app.get('/plain', async () => 'plain')
    const answer = exchange(app, upgradeRequest({ path: '/plain' }).replace('Upgrade: websocket', `Upgrade: ${protocol}`))
    await hasStarted
    await app.close()
    t.equal(await answer, '', protocol)
  }
})

t.test('another upgrade listener on the server keeps its own paths', async (t) => {
  const app = await boot(t)
  const seen: string[] = []
  app.server.on('upgrade', (request, socket) => {
    seen.push(request.url!)
    socket.end('HTTP/1.1 418 Teapot\r\n\r\n')
  })
  t.equal(await tryUpgrade(app, { path: '/socket.io/' }), 418)
  t.equal(await tryUpgrade(app), 101)
  t.same(seen, ['/socket.io/'])
})

t.test('a closing service is alive, not ready, and refuses connections', async (t) => {
  const app = await boot(t, {}, { return503OnClosing: false })
  const frozen = await connect(app)
  frozen.socket.pause()
  const { port } = app.server.address() as { port: number }
  const closing = app.close()
  const probe = async (name: string) => (await fetch(`http://127.0.0.1:${port}/health?probe=${name}`)).status
  t.equal(await probe('live'), 200)
  t.equal(await probe('ready'), 503)
  const late = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
  t.match((await once(late, 'error'))[0].message, /503/)
  t.match((await app.missionControl.metrics.render()).body, /^mission_control_ws_refused_total\{reason="closing"\} 1$/m)
  frozen.socket.terminate()
  await closing
})

t.test('no upgrade is accepted while the service closes', async (t) => {
  const app = await boot(t)
  const client = await connect(app)
  const { port } = app.server.address() as { port: number }
  const closing = app.close()
  const late = new WebSocket(`ws://127.0.0.1:${port}/ws/mission-control`)
  const [err] = await once(late, 'error')
  t.match(err.message, /503|ECONNREFUSED/)
  await client.closed
  await closing
})

t.test('the service closes without having listened, with clients connected, and twice', async (t) => {
  const idle = Fastify()
  await idle.register(missionControl)
  await idle.close()
  const app = await boot(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(app)))
  t.same(await uncaught(async () => {
    await Promise.all([app.close(), app.close()])
  }), [])
  for (const client of clients) t.same(await client.closed, { code: 1012, reason: 'server_restart' })
})

t.test('refused upgrades write no error lines to the log', async (t) => {
  const lines: string[] = []
  const app = await boot(t, { websocket: { maxConnections: 1 } }, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
  await connect(app)
  t.equal(await tryUpgrade(app), 503)
  t.equal(await tryUpgrade(app, { origin: 'https://evil.example' }), 403)
  t.same(lines.map((line) => JSON.parse(line) as { level: number, err?: unknown }).filter(({ level, err }) => level > 30 || err !== undefined), [])
})

t.test('a logger of the host that throws affects nothing', async (t) => {
  const app = await boot(t, {}, { loggerInstance: throwingLogger() })
  app.missions.on('mission_update', () => { throw new Error('listener') })
  t.same(await uncaught(async () => { app.missions.start('job').complete() }), [])
  t.equal(app.missions.stats().completed, 1)
  t.match((await app.missionControl.metrics.render()).body, /^mission_control_callback_errors_total\{callback="mission_listener"\} 2$/m)
})

function throwingLogger (): FastifyBaseLogger {
  const fail = () => { throw new Error('logger') }
  const silent = () => {}
  const logger = { level: 'info', trace: silent, debug: fail, info: silent, warn: fail, error: silent, fatal: silent, silent, child: () => logger }
  return logger as unknown as FastifyBaseLogger
}

t.test('the plugin works with and without a logger of the host, on any address', async (t) => {
  const lines: string[] = []
  const app = await boot(t, {}, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
  const client = await connect(app)
  client.send('nonsense')
  await client.next('protocol_error')
  t.notMatch(lines.join(''), 'nonsense')
  t.ok(lines.every((line) => JSON.parse(line)))
  await client.close()
})

t.test('the log says once, at listen, that the routes are open to everybody if there is neither access nor onRequest', async (t) => {
  const open = 'the routes of the plugin are open to everybody; see access and onRequest'
  // The path of a socket must be short.
  const folder = mkdtempSync(join(tmpdir(), 'mission-control-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'socket')
  const cases: Array<[MissionControlOptions, listen: { host: string } | { path: string }, level: 'info' | 'warn' | undefined]> = [
    [{}, { host: '0.0.0.0' }, 'warn'], [{}, { host: '127.0.0.1' }, 'info'], [{}, { host: 'localhost' }, 'info'], [{}, { path }, 'info'],
    [{ onRequest: [] }, { host: '0.0.0.0' }, 'warn'], [{ onRequest: async () => {} }, { host: '0.0.0.0' }, undefined],
    [{ access: { identify: () => null } }, { host: '0.0.0.0' }, undefined]
  ]
  for (const [options, listen, level] of cases) {
    const lines: string[] = []
    const app = await boot(t, options, { logger: { level: 'info', stream: { write: (line: string) => { lines.push(line) } } } })
    await app.ready()
    t.equal(lines.filter((line) => line.includes(open)).length, 0)
    await app.listen('path' in listen ? listen : { port: 0, ...listen })
    const levels = lines.filter((line) => line.includes(open)).map((line) => ({ 30: 'info', 40: 'warn' })[JSON.parse(line).level as 30])
    t.strictSame(levels, level === undefined ? [] : [level], JSON.stringify(listen))
  }
})

t.test('a route of the host with the path of one of the plugin is refused by the name of the option', async (t) => {
  const paths = [
    ['routes.health', '/health'], ['routes.wsMetrics', '/mission-control/ws-metrics'], ['routes.prometheus', '/api/v1/metrics/prometheus'],
    ['routes.asyncapi', '/mission-control/asyncapi.json'], ['routes.missions', '/jobs'], ['websocket.path', '/ws/mission-control']
  ] as const
  const routes = { missions: '/jobs' }
  for (const [option, path] of paths) {
    const refused = { code: 'FST_MC_INVALID_OPTION', message: `there are two routes GET /api${path}; set ${option} to another path` }
    const before = Fastify()
    t.teardown(() => before.close())
    before.get(`/api${path}`, async () => 'mine')
    await t.rejects(async () => await before.register(missionControl, { routes, prefix: '/api' }), refused)
    const after = Fastify()
    t.teardown(() => after.close())
    await after.register(missionControl, { routes, prefix: '/api' })
    t.throws(() => after.get(`/api${path}`, async () => 'mine'), refused)
    after.post('/api/health', async () => 'mine')
    after.get('/health', async () => 'mine')
    after.get('/api/health', { constraints: { host: 'other.example' } }, async () => 'mine')
    await after.ready()
    t.equal((await after.inject({ url: '/api/health', headers: { host: 'other.example' } })).body, 'mine')
    t.equal((await after.inject('/api/health')).json().server, 'mission-control')
  }
  const scoped = Fastify()
  t.teardown(() => scoped.close())
  await scoped.register(async (scope) => {
    await scope.register(missionControl, { routes: { health: false } })
    scope.get('/health', async () => 'mine')
    t.throws(() => scope.get('/ws/mission-control', async () => 'mine'), /GET \/v1\/ws\/mission-control; set websocket\.path/)
  }, { prefix: '/v1' })
  t.equal((await scoped.inject('/v1/health')).body, 'mine')
})
