import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as connectHttp2, type ClientHttp2Session, type SecureClientSessionOptions } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { WebSocket } from 'ws'
import { cert, key } from './support/certificate.js'
import { connect, ensureListening, tryUpgrade, urlOf } from './support/client.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const page = readFileSync(join(root, 'docs/with-other-plugins.md'), 'utf8')
const METRICS = '/api/v1/metrics/prometheus'

/** The code under a heading of the page. */
function codeUnder (heading: string): string {
  const section = page.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!
  const [, code] = /^```[jt]s\n([^]*?)^```$/m.exec(section)!
  return ts.transpileModule(code!, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText
}

/** The code with its registrations in the opposite order. */
function reversed (code: string): string {
  const [head, ...registrations] = code.split(/^(?=await app\.register)/m)
  return [head, ...registrations.reverse().map((one) => `${one}\n`)].join('')
}

let services = 0

/** Runs code of the page as the module of a service. `names` is what it uses and does not show. */
async function serve (t: Test, code: string, names: Record<string, unknown> = {}): Promise<FastifyInstance> {
  const own = code.includes('const app =') ? '' : 'const app = Fastify(serverOptions)\n'
  const file = join(folder, `service-${services++}.mjs`)
  writeFileSync(file, `import Fastify from 'fastify'\nimport missionControl from 'fastify-mission-control'\n${own}${code}\nexport { app }\n`)
  Object.assign(globalThis, { serverOptions: {}, ...names })
  const { app } = await import(pathToFileURL(file).href) as { app: FastifyInstance }
  t.teardown(() => app.close())
  return app
}

const folder = t.testdir()

async function get (app: FastifyInstance, path: string, headers: Record<string, string> = {}): Promise<Response> {
  await ensureListening(app)
  return await fetch(urlOf(app, path).replace('ws:', 'http:'), { headers })
}

const statusOf = async (app: FastifyInstance, path: string, headers = {}): Promise<number> => (await get(app, path, headers)).status

t.test('the settings of the routes decide what is logged', async (t) => {
  const lines: string[] = []
  const logger = { level: 'info', stream: { write: (line: string) => { lines.push(line) } } }
  const app = await serve(t, codeUnder('Settings of the routes'), { serverOptions: { logger } })
  for (const path of ['/health', METRICS, '/mission-control/ws-metrics']) t.equal(await statusOf(app, path), 200)
  t.equal(await tryUpgrade(app), 101)
  const urls = lines.map((line) => JSON.parse(line)).flatMap(({ req }) => req === undefined ? [] : [req.url])
  t.same(urls, ['/mission-control/ws-metrics', '/ws/mission-control'])
})

t.test('@fastify/rate-limit', async (t) => {
  const code = codeUnder('`@fastify/rate-limit`')

  t.test('limits upgrades, and neither probes nor scrapes', async (t) => {
    const app = await serve(t, code)
    for (let at = 0; at < 21; at++) t.equal(await tryUpgrade(app), at === 20 ? 429 : 101)
    for (let at = 0; at < 102; at++) for (const path of ['/health?probe=live', METRICS]) t.equal(await statusOf(app, path), 200)
  })

  t.test('counts probes, scrapes and upgrades together without the setting', async (t) => {
    const app = await serve(t, code.replace(/routes: .*/, '').replace('max: 100', 'max: 3'))
    const ask = async () => [await tryUpgrade(app), await statusOf(app, '/health?probe=live'), await statusOf(app, METRICS)]
    t.same(await ask(), [101, 200, 200])
    t.same(await ask(), [429, 429, 429])
  })

  t.test('limits nothing of the plugin if it comes later', async (t) => {
    const app = await serve(t, reversed(code.replace('max: 100', 'max: 1').replace('max: 20', 'max: 1').replace(': false', ': { max: 1 }')))
    for (let at = 0; at < 3; at++) {
      t.equal(await statusOf(app, '/health'), 200)
      t.equal(await tryUpgrade(app), 101)
    }
  })
})

t.test('@fastify/under-pressure', async (t) => {
  const code = codeUnder('`@fastify/under-pressure`')
  const names = { isValid: () => false, database: { query: async () => {} } }
  for (const [order, ordered] of [['first', code], ['last', reversed(code)]] as const) {
    t.test(`registered ${order}: the plugin responds under pressure`, async (t) => {
      const app = await serve(t, ordered, names)
      app.get('/mine', async () => 'mine')
      t.equal(await statusOf(app, '/mine'), 503)
      for (const path of ['/health', '/health?probe=live', METRICS]) t.equal(await statusOf(app, path), 200, path)
      t.equal(await tryUpgrade(app), 101)
    })

    t.test(`registered ${order}: without the setting, its 503 reaches probes, scrapes and upgrades`, async (t) => {
      const app = await serve(t, ordered.replace(/, \{ routes: .*/, ')'), names)
      for (const path of ['/health?probe=live', METRICS]) t.equal(await statusOf(app, path), 503, path)
      t.equal(await tryUpgrade(app), 503)
    })
  }
})

t.test('@fastify/helmet', async (t) => {
  const code = codeUnder('`@fastify/helmet`')
  for (const [order, ordered] of [['first', code], ['last', reversed(code)]] as const) {
    t.test(`registered ${order}`, async (t) => {
      const app = await serve(t, ordered)
      for (const path of ['/health', METRICS]) {
        const { status, headers } = await get(app, path)
        t.match([status, headers.get('x-content-type-options'), headers.get('content-security-policy')], [200, 'nosniff', "connect-src 'self' wss://ops.example.com"])
      }
      t.ok(await (await connect(app)).send({ type: 'ping' }).next('pong'))
    })
  }
})

t.test('@fastify/jwt', async (t) => {
  const code = codeUnder('`@fastify/jwt`')
  for (const [order, ordered] of [['first', code], ['last', reversed(code)]] as const) {
    t.test(`registered ${order}`, async (t) => {
      const app = await serve(t, ordered)
      await app.ready()
      const headers = { authorization: `Bearer ${(app as unknown as { jwt: { sign (payload: object): string } }).jwt.sign({ name: 'ann' })}` }
      t.equal(await statusOf(app, METRICS), 401)
      t.equal(await statusOf(app, METRICS, headers), 200)
      t.equal(await tryUpgrade(app), 401)
      t.equal(await tryUpgrade(app, { headers: { authorization: 'Bearer x.y.z' } }), 401)
      t.equal(await tryUpgrade(app, { headers }), 101)
    })
  }
})

t.test('@fastify/session', async (t) => {
  const code = codeUnder('`@fastify/session`')
  const login = async (app: FastifyInstance, user: string) => {
    app.get(`/login/${user}`, async (request) => { (request as unknown as { session: Map<string, string> }).session.set('user', user) })
    const response = await get(app, `/login/${user}`)
    return { cookie: response.headers.getSetCookie()[0]!.split(';')[0]! }
  }

  t.test('guards the routes, the upgrade and the channels', async (t) => {
    for (const user of ['ann', 'admin']) {
      const app = await serve(t, code)
      const headers = await login(app, user)
      t.equal(await statusOf(app, '/health'), 200, 'public')
      t.equal(await statusOf(app, METRICS), 401)
      t.equal(await statusOf(app, METRICS, headers), user === 'admin' ? 200 : 403)
      t.equal(await tryUpgrade(app), 401)
      const client = await connect(app, { headers })
      await client.subscribe('mission_stats')
      client.send({ type: 'subscribe', channels: ['mission_update'] })
      t.ok(await client.next(user === 'admin' ? 'subscription_ack' : 'subscription_error'))
    }
  })

  t.test('is not there yet if it comes later', async (t) => {
    const app = await serve(t, reversed(code).replace(/^(await app\.register\(session[^]*?)(await app\.register\(cookie\))/m, '$2\n$1'))
    const headers = await login(app, 'admin')
    t.equal(await statusOf(app, METRICS, headers), 401)
  })
})

t.test('@fastify/swagger describes the HTTP routes, if it comes first', async (t) => {
  const code = codeUnder('`@fastify/swagger`')
  const paths = async (ordered: string) => {
    const app = await serve(t, ordered)
    await app.ready()
    return app.swagger().paths as Record<string, unknown>
  }
  const shown = await paths(code)
  t.match(shown, { '/health': { get: { tags: ['operations'] } }, [METRICS]: { get: { tags: ['operations'] } } })
  t.notOk('/ws/mission-control' in shown)
  t.same(await paths(reversed(code)), {})
})

t.test('@fastify/compress', async (t) => {
  const code = codeUnder('`@fastify/compress`')
  for (const [order, ordered] of [['first', code], ['last', reversed(code)]] as const) {
    t.test(`registered ${order}`, async (t) => {
      const app = await serve(t, ordered)
      const expected = { gzip: 'gzip', 'gzip, br': 'gzip', br: order === 'first' ? 'br' : null, identity: null }
      for (const [accepted, encoding] of Object.entries(expected)) {
        const response = await get(app, METRICS, { 'accept-encoding': accepted })
        // fetch decodes one level; a body that is compressed twice would not be text.
        t.match(await response.text(), /^# HELP /, accepted)
        t.equal(response.headers.get('content-encoding'), encoding, accepted)
      }
      t.equal((await (await get(app, '/health')).json() as { server: string }).server, 'mission-control')
      t.ok(await (await connect(app)).send({ type: 'ping' }).next('pong'))
    })
  }
})

t.test('HTTP/2', async (t) => {
  const ask = async (session: ClientHttp2Session, path: string): Promise<number> => {
    const stream = session.request({ ':path': path })
    const [headers] = await once(stream, 'response') as [Record<string, number>]
    stream.resume()
    await once(stream, 'end')
    return headers[':status']!
  }
  const open = async (t: Test, app: FastifyInstance, scheme: string, options: SecureClientSessionOptions = {}): Promise<ClientHttp2Session> => {
    await ensureListening(app)
    const session = connectHttp2(`${scheme}://127.0.0.1:${(app.server.address() as AddressInfo).port}`, options)
    t.teardown(() => session.close())
    return session
  }

  t.test('without HTTP/1.1: the HTTP routes work, and no client can connect', async (t) => {
    const app = await serve(t, 'await app.register(missionControl)', { serverOptions: { http2: true } })
    const session = await open(t, app, 'http')
    for (const path of ['/health', METRICS]) t.equal(await ask(session, path), 200)
    t.equal(await ask(session, '/ws/mission-control'), 426)
    const socket = new WebSocket(urlOf(app))
    t.ok(await once(socket, 'error'))
    session.close()
    await app.close()
  })

  t.test('beside HTTP/1.1: WebSockets use HTTP/1.1', async (t) => {
    const app = await serve(t, codeUnder('HTTP/2'), { key, cert })
    const session = await open(t, app, 'https', { ca: cert })
    t.equal(await ask(session, '/health'), 200)
    const socket = new WebSocket(urlOf(app).replace('ws:', 'wss:'), { ca: cert })
    await once(socket, 'open')
    const closed = once(socket, 'close')
    session.close()
    await app.close()
    t.match(await closed, [1012])
  })
})
