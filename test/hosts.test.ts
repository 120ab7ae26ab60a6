import { request as requestHttp } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { mkdtempSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { boot, closingSoon } from './support/app.js'
import { exchange, upgradeRequest } from './support/raw-client.js'

const ROUTES = [
  'GET /health', 'GET /mission-control/ws-metrics', 'GET /mission-control/asyncapi.json', 'GET /api/v1/metrics/prometheus', 'GET /missions',
  'GET /missions/job', 'POST /missions/job/cancel'
]

/** A service with all routes and a route of the host, that listens on `host`. */
async function serve (t: Test, allowedHosts?: NonNullable<MissionControlOptions['websocket']>['allowedHosts'], host = '127.0.0.1'): Promise<FastifyInstance> {
  const app = await boot(t, { routes: { missions: '/missions' }, ...(allowedHosts !== undefined && { websocket: { allowedHosts } }) })
  app.missions.start({ id: 'job', name: 'job' })
  app.missions.handle({ cancel: {} })
  app.get('/own', async () => 'own')
  await app.listen({ port: 0, host })
  return app
}

const statusOf = (answer: string): number => Number(answer.slice(9, 12))

const upgrade = async (app: FastifyInstance, host: string, headers: string[] = []): Promise<number> =>
  statusOf(await exchange(app, upgradeRequest({ host, headers })))

const ask = async (app: FastifyInstance, route: string, host: string): Promise<number> =>
  statusOf(await exchange(app, `${route} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))

t.test('a service on loopback accepts names of loopback only', async (t) => {
  const app = await serve(t)
  const { port } = app.server.address() as AddressInfo
  const good = ['localhost', `localhost:${port}`, 'LOCALHOST', 'app.localhost:80', 'a.b.localhost', '127.0.0.1', `127.0.0.1:${port}`, '127.255.255.254', '[::1]', `[::1]:${port}`]
  const bad = [
    'evil.example', `evil.example:${port}`, 'localhost.evil.example', 'evil-localhost', 'xlocalhost', '.localhost', 'localhost.', '127.0.0.1.evil.example', '127.evil.example',
    '127.0.0.256', '127.1', '128.0.0.1', '0.0.0.0', '[::2]', '[::1', '::1', 'localhost:x', 'localhost@evil.example', 'localhost evil.example', '192.168.0.7', 'localhost:80:80'
  ]
  for (const host of good) t.equal(await upgrade(app, host), 101, host)
  for (const host of bad) t.equal(await upgrade(app, host, [`Origin: http://${host}`]), 403, host)
  t.match((await app.missionControl.metrics.render()).body, new RegExp(`refused_total\\{reason="host"\\} ${bad.length}\n`))
  t.equal(app.missionControl.wsMetrics().connectionsTotal, good.length)

  for (const route of ROUTES) {
    t.equal(await ask(app, route, `evil.example:${port}`), 403, route)
    t.not(await ask(app, route, `localhost:${port}`), 403, route)
  }
  t.equal(app.missions.get('job')!.view().cancel?.kind, 'client', 'only the second cancel was carried out')
  t.equal(await ask(app, 'GET /own', 'evil.example'), 200, 'routes of the host are its own matter')
  t.match(await exchange(app, upgradeRequest({ host: 'evil.example', headers: ['X-Forwarded-Host: localhost'] })), /^HTTP\/1\.1 403 .*\{"statusCode":403,"code":"FST_MC_HOST_REFUSED"/s)
  t.match((await app.missionControl.metrics.render()).body, new RegExp(`refused_total\\{reason="host"\\} ${bad.length + 1}\n`), 'upgrades are counted, other requests not')
  t.equal((await app.inject({ url: '/health', headers: { host: 'evil.example' } })).statusCode, 200, 'an injected request is not checked')
  t.equal(statusOf(await exchange(app, 'GET /health HTTP/1.0\r\n\r\n')), 200, 'nor one without Host, which is no browser')
})

t.test('forwarding headers do not count, because the page of an attacker can set them', async (t) => {
  const app = Fastify({ trustProxy: true })
  t.teardown(() => app.close())
  await app.register(missionControl, closingSoon({}))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.equal(await upgrade(app, 'evil.example', ['X-Forwarded-Host: localhost']), 403)
  t.equal(await upgrade(app, 'localhost', ['X-Forwarded-Host: ops.example.com']), 101)
})

t.test('a service that listens on other addresses accepts all names', async (t) => {
  const app = await serve(t, undefined, '0.0.0.0')
  t.equal(await upgrade(app, 'ops.example.com'), 101)
  t.equal(await ask(app, 'GET /health', '192.168.0.7'), 200)
})

t.test('a list accepts exactly its hosts, on every address', async (t) => {
  for (const address of ['127.0.0.1', '0.0.0.0']) {
    const app = await serve(t, ['Ops.Example.com', 'with-port.example:8080', 'plain.example:80', 'bücher.example', '[::1]:3000'], address)
    const good = [
      'ops.example.com', 'OPS.example.com:1234', 'with-port.example:8080', 'plain.example', 'plain.example:80', 'xn--bcher-kva.example:5', '[::1]:3000'
    ]
    const bad = ['localhost', '127.0.0.1', 'with-port.example', 'with-port.example:80', 'plain.example:81', 'a.ops.example.com', 'ops.example.com.', '[::1]', '[::1]:80', '']
    for (const host of good) t.equal(await upgrade(app, host), 101, host)
    for (const host of bad) t.equal(await upgrade(app, host), 403, host)
    t.equal(await ask(app, 'GET /health', 'localhost'), 403)
  }
})

t.test('a star accepts all names', async (t) => {
  const app = await serve(t, '*')
  t.equal(await upgrade(app, 'evil.example'), 101)
})

t.test('an entry that no browser can send is an invalid option', async (t) => {
  for (const entry of ['', '*', '*.example.com', 'http://ops.example.com', 'ops.example.com/', 'a b', 'user@ops.example.com', '::1', '[::g]', 'ops.example.com:x', 'a,b', '1.2.3.256', 7]) {
    await t.rejects(boot(t, { websocket: { allowedHosts: [entry] as string[] } }), { code: 'FST_MC_INVALID_OPTION', message: /websocket\.allowedHosts/ }, String(entry))
  }
  await t.rejects(boot(t, { websocket: { allowedHosts: 'ops.example.com' as never } }), { message: /a list of hosts such as/ })
})

t.test('over a Unix socket nothing is checked', async (t) => {
  for (const allowedHosts of ['loopback', ['ops.example.com']] as const) {
    const path = join(mkdtempSync(join(tmpdir(), 'hosts-')), 'socket')
    const app = await boot(t, { websocket: { allowedHosts: allowedHosts as 'loopback' } })
    await app.listen({ path })
    const status = await new Promise((resolve, reject) => {
      requestHttp({ socketPath: path, path: '/health', headers: { host: 'evil.example' } }, (response) => resolve(response.resume().statusCode)).on('error', reject).end()
    })
    t.equal(status, 200)
  }
})

t.test('over HTTP/2 the authority is checked', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(missionControl as never, closingSoon({}) as never)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(() => session.destroy())
  const get = async (authority: string) => await new Promise((resolve, reject) => {
    session.request({ ':path': '/health', ':authority': authority }).on('response', (headers) => resolve(headers[':status'])).on('error', reject).resume().end()
  })
  t.same([await get('localhost:1'), await get('evil.example')], [200, 403])
})
