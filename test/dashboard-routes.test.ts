import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../lib/index.js'
import { BundleLoader } from '../lib/routes/dashboard/bundle.js'
import { mountDashboard } from '../lib/routes/dashboard/route.js'
import type { DashboardConfig } from '../schemas/options/dashboard.js'
import { boot } from './support/app.js'

const PAGE = '/mission-control/'

/** The configuration in the index. */
function configOf (html: string): DashboardConfig {
  const [, content] = /<meta name="mission-control-config" content="([^"]*)">/.exec(html)!
  return JSON.parse(content!.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')) as DashboardConfig
}

const addressesOf = (html: string): string[] => [...html.matchAll(/(?:href|src)="(assets\/[^"]+)"/g)].map(([, address]) => address!)

/** Every address of the page at `url`, as a browser resolves it, with the WebSocket route last. */
function resolveAll (url: string, html: string): string[] {
  return [...addressesOf(html), configOf(html).webSocketUrl].map((address) => new URL(address, url).href)
}

/** A proxy on a real socket that rewrites paths. */
async function openProxy (t: Test, app: FastifyInstance, rewrite: (path: string) => string): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const proxy = createServer((request, response) => {
    const { url, method, headers } = request
    httpRequest({ host: '127.0.0.1', port, path: rewrite(url!), method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    }).end()
  })
  await new Promise<void>((resolve) => { proxy.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => proxy.close())
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}

t.test('the page and all its files are served under the default path', async (t) => {
  const app = await boot(t)
  const page = await app.inject(PAGE)
  t.equal(page.statusCode, 200)
  t.equal(page.headers['content-type'], 'text/html; charset=utf-8')
  const addresses = addressesOf(page.body)
  t.match(addresses.sort(), [/^assets\/app-.+\.js$/, /^assets\/chunk-.+\.js$/, /^assets\/icon-.+\.svg$/, /^assets\/style-.+\.css$/])
  const types = await Promise.all(addresses.map(async (address) => (await app.inject(PAGE + address)).headers['content-type']))
  t.same(types, ['text/javascript; charset=utf-8', 'text/javascript; charset=utf-8', 'image/svg+xml', 'text/css; charset=utf-8'])
})

t.test('routes.dashboard moves the page, or leaves it out', async (t) => {
  const moved = await boot(t, { routes: { dashboard: '/ops/missions' } })
  t.equal((await moved.inject('/ops/missions/')).statusCode, 200)
  t.equal((await moved.inject(PAGE)).statusCode, 404)
  const off = await boot(t, { routes: { dashboard: false } })
  t.equal((await off.inject(PAGE)).statusCode, 404)
  t.equal((await off.inject('/mission-control')).statusCode, 404)
})

t.test('the page at the root of the service finds its files and the WebSocket route', async (t) => {
  const app = await boot(t, { routes: { dashboard: '/' } })
  const { body } = await app.inject('/')
  t.equal((await app.inject(`/${addressesOf(body)[0]}`)).statusCode, 200)
  t.equal(new URL(configOf(body).webSocketUrl, 'http://host/').pathname, '/ws/mission-control')
})

t.test('a path without the final slash leads to the page, under every prefix and with the query', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(async (scope) => { await scope.register(missionControl, { prefix: '/b' }) }, { prefix: '/a' })
  const { statusCode, headers } = await app.inject('/a/b/mission-control?theme=dark&next=/a?b')
  t.equal(statusCode, 302)
  const location = new URL(headers.location!, 'http://host/a/b/mission-control').href
  t.equal(location, 'http://host/a/b/mission-control/?theme=dark&next=/a?b')
  const page = await app.inject('/a/b/mission-control/')
  const resolved = resolveAll('http://host/a/b/mission-control/', page.body)
  t.equal(resolved.at(-1), 'http://host/a/b/ws/mission-control')
  for (const address of resolved.slice(0, -1)) t.equal((await app.inject(new URL(address).pathname)).statusCode, 200, address)
})

t.test('a redirect never leads to another host', async (t) => {
  const app = await boot(t, {}, { routerOptions: { ignoreDuplicateSlashes: true, ignoreTrailingSlash: true } })
  const { headers, statusCode } = await app.inject({ url: '//mission-control' })
  t.equal(statusCode, 302)
  t.equal(new URL(headers.location!, 'http://host/x').host, 'host')
})

t.test('a host that ignores trailing slashes gets one route, and still serves the page', async (t) => {
  const app = await boot(t, {}, { routerOptions: { ignoreTrailingSlash: true } })
  t.equal((await app.inject('/mission-control')).statusCode, 302)
  t.equal((await app.inject(PAGE)).statusCode, 200)
})

for (const [what, rewrite, base] of [
  ['removes a prefix', (path: string) => path.replace(/^\/ops/, ''), '/ops'],
  ['adds a prefix', (path: string) => `/internal${path}`, '']
] as const) {
  t.test(`a proxy that ${what} serves the page, its files and the address of the WebSocket`, async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(missionControl, { prefix: base === '' ? '/internal' : '', websocket: { allowedHosts: '*' } })
    const origin = await openProxy(t, app, rewrite)
    const response = await fetch(`${origin}${base}/mission-control`)
    t.equal(response.url, `${origin}${base}${PAGE}`)
    const resolved = resolveAll(response.url, await response.text())
    t.equal(resolved.at(-1), `${origin}${base}/ws/mission-control`)
    for (const address of resolved.slice(0, -1)) t.equal((await fetch(address)).status, 200, address)
  })
}

t.test('the index is checked for changes each time, its files are kept for a year', async (t) => {
  const app = await boot(t)
  const page = await app.inject(PAGE)
  t.equal(page.headers['cache-control'], 'no-cache')
  const cached = (tag: string, url: string) => app.inject({ url, headers: { 'if-none-match': tag } })
  t.equal((await cached(`"other", W/${page.headers.etag}`, PAGE)).statusCode, 304)
  t.equal((await cached('"other"', PAGE)).statusCode, 200)
  const url = PAGE + addressesOf(page.body)[0]
  const file = await app.inject(url)
  t.equal(file.headers['cache-control'], 'public, max-age=31536000, immutable')
  t.equal((await cached(String(file.headers.etag), url)).statusCode, 304)
  t.equal((await cached(String(file.headers.etag), url)).body, '')
})

t.test('another configuration has another ETag', async (t) => {
  const [one, two] = await Promise.all([boot(t), boot(t, { dashboard: { title: 'Other' } })])
  t.not((await one.inject(PAGE)).headers.etag, (await two.inject(PAGE)).headers.etag)
})

t.test('files are compressed for clients that accept gzip, and only for them', async (t) => {
  const app = await boot(t)
  const script = PAGE + addressesOf((await app.inject(PAGE)).body).find((address) => address.endsWith('.js'))!
  const plain = await app.inject(script)
  t.equal(plain.headers['content-encoding'], undefined)
  t.equal((await app.inject(script)).body, plain.body, 'twice the same')
  const zipped = await app.inject({ url: script, headers: { 'accept-encoding': 'br, gzip' } })
  t.equal(zipped.headers['content-encoding'], 'gzip')
  t.equal(zipped.headers.vary, 'accept-encoding')
  t.equal(gunzipSync(zipped.rawPayload).toString(), plain.body)
  t.ok(zipped.rawPayload.length < plain.rawPayload.length / 2)
  const refused = await app.inject({ url: script, headers: { 'accept-encoding': 'gzip;q=0' } })
  t.equal(refused.headers['content-encoding'], undefined)
})

t.test('HEAD answers without a body', async (t) => {
  const app = await boot(t)
  const { statusCode, body, headers } = await app.inject({ method: 'HEAD', url: PAGE })
  t.equal(statusCode, 200)
  t.equal(body, '')
  t.equal(headers.etag, (await app.inject(PAGE)).headers.etag)
})

t.test('a file of an older version is not found, with a code that says what to do', async (t) => {
  const app = await boot(t)
  for (const name of ['app-00000000.js', '..%2f..%2fpackage.json', '__proto__', '%00']) {
    const { statusCode, body } = await app.inject(`${PAGE}assets/${name}`)
    t.equal(statusCode, 404, name)
    t.match(JSON.parse(body), { code: 'FST_MC_ASSET_NOT_FOUND' })
    t.notMatch(body, name)
  }
})

t.test('the policy of the page allows nothing from elsewhere, nothing inline, and no HTML from strings', async (t) => {
  const app = await boot(t)
  const { headers, body } = await app.inject(PAGE)
  const policy = Object.fromEntries(String(headers['content-security-policy']).split('; ').map((one) => {
    const [name, ...values] = one.split(' ')
    return [name, values.join(' ')]
  }))
  t.same(policy, {
    'default-src': "'none'",
    'script-src': "'self'",
    'style-src': "'self'",
    'img-src': "'self'",
    'connect-src': "'self'",
    'base-uri': "'none'",
    'form-action': "'none'",
    'frame-ancestors': "'self'",
    'require-trusted-types-for': "'script'",
    'trusted-types': "'none'"
  })
  t.notMatch(body, /<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:/)
  t.equal(headers['x-content-type-options'], 'nosniff')
  t.equal(headers['referrer-policy'], 'no-referrer')
})

t.test('frameAncestors says who may embed the page', async (t) => {
  const ancestors = async (frameAncestors: 'none' | string[]) => {
    const app = await boot(t, { dashboard: { frameAncestors } })
    return /frame-ancestors ([^;]+)/.exec(String((await app.inject(PAGE)).headers['content-security-policy']))![1]
  }
  t.equal(await ancestors('none'), "'none'")
  t.equal(await ancestors(['https://ops.example.com', 'https://b.example']), 'https://ops.example.com https://b.example')
})

t.test('the policy of the page wins over the one of @fastify/helmet', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(helmet)
  await app.register(missionControl)
  const { headers } = await app.inject(PAGE)
  t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self'/)
  t.equal(headers['x-frame-options'], 'SAMEORIGIN')
})

t.test('the page is not in the OpenAPI document', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { openapi: {} })
  await app.register(missionControl)
  await app.ready()
  t.notOk(Object.keys(app.swagger().paths ?? {}).some((path) => path === '/mission-control' || path.includes('assets')))
})

t.test('the configuration reaches the page as data that cannot end its element', async (t) => {
  const title = '"><script>alert(1)</script>&amp;'
  const app = await boot(t, {
    server: { name: 'shop', version: '2.1.0' },
    websocket: { path: '/live' },
    dashboard: {
      title,
      environment: { label: 'production', color: '#b00' },
      links: [{ label: 'Runbook', href: 'https://wiki.example/run' }],
      theme: 'dark',
      readOnly: true,
      missionLink: 'https://traces.example/{id}?name={name}'
    }
  })
  const { body } = await app.inject(PAGE)
  t.notMatch(body, '<script>alert')
  t.same(configOf(body), {
    title,
    environment: { label: 'production', color: '#b00' },
    links: [{ label: 'Runbook', href: 'https://wiki.example/run' }],
    theme: 'dark',
    readOnly: true,
    missionLink: 'https://traces.example/{id}?name={name}',
    getToken: null,
    webSocketUrl: '../live',
    version: '2.1.0'
  })
})

t.test('values that could run code or lead elsewhere are refused by name', async (t) => {
  const bad: Array<[string, MissionControlOptions['dashboard']]> = [
    ['dashboard.links', { links: [{ label: 'x', href: 'javascript:alert(1)' }] }],
    ['dashboard.links', { links: [{ label: 'x', href: '//evil.example' }] }],
    ['dashboard.missionLink', { missionLink: 'data:text/html,{id}' }],
    ['dashboard.environment', { environment: { label: 'x', color: 'url(x)' } }],
    ['dashboard.getToken', { getToken: 'https://evil.example/token' }],
    ['dashboard.getToken', { getToken: '//evil.example/token' }],
    ['dashboard.getToken', { getToken: '/\\evil.example/token' }],
    ['dashboard.frameAncestors', { frameAncestors: ['*; script-src *'] }],
    ['dashboard.title', { title: '' }],
    ['dashboard.theme', { theme: 'pink' as never }],
    ['dashboard.colour', { colour: 'red' } as never]
  ]
  for (const [name, dashboard] of bad) {
    const app = Fastify()
    app.register(missionControl, { dashboard })
    await t.rejects(async () => { await app.ready() }, { code: 'FST_MC_INVALID_OPTION', message: new RegExp(name.replace('.', '\\.')) }, name)
    await app.close()
  }
})

t.test('the hooks of the host guard the page and its files', async (t) => {
  const app = await boot(t, { onRequest: async (_request, reply) => await reply.code(403).send({ no: true }) })
  for (const url of [PAGE, '/mission-control', `${PAGE}assets/app.js`]) t.equal((await app.inject(url)).statusCode, 403, url)
})

t.test('with access rules, the page needs a principal unless it gets a token by itself', async (t) => {
  const identify = ({ headers }: { headers: { cookie?: string | undefined } }) => headers.cookie === 'session=1' ? { id: 'ada' } : null
  const guarded = await boot(t, { access: { identify } })
  t.equal((await guarded.inject(PAGE)).statusCode, 401)
  t.equal((await guarded.inject({ url: PAGE, headers: { cookie: 'session=1' } })).statusCode, 200)
  const open = await boot(t, { access: { identify }, dashboard: { getToken: '/token' }, routes: { missions: '/missions' } })
  const { statusCode, body } = await open.inject(PAGE)
  t.equal(statusCode, 200)
  t.equal(configOf(body).getToken, '/token')
  t.equal((await open.inject(PAGE + addressesOf(body)[0])).statusCode, 200)
  for (const url of ['/missions', '/mission-control/ws-metrics']) t.equal((await open.inject(url)).statusCode, 401, url)
})

t.test('a path that the host uses already is refused with the option that moves the page', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/mission-control', async () => 'mine')
  app.register(missionControl)
  await t.rejects(async () => { await app.ready() }, { code: 'FST_MC_INVALID_OPTION', message: /routes\.dashboard/ })
})

t.test('a package without the page answers with a code, and recovers', async (t) => {
  let isMissing = true
  const bundle = new BundleLoader(async () => {
    if (isMissing) throw new Error('Cannot find module /secret/path')
    return { entry: { script: 'a.js', style: 'a.css', icon: 'a.svg', preload: ['b.js'] }, assets: [] }
  })
  const app = Fastify()
  t.teardown(() => app.close())
  const { dashboard } = await resolved()
  mountDashboard(app, { url: '/page', webSocketPath: '/ws', options: dashboard, version: '1', bundle })
  const { statusCode, body } = await app.inject('/page/')
  t.equal(statusCode, 500)
  t.match(JSON.parse(body), { code: 'FST_MC_DASHBOARD_MISSING' })
  t.notMatch(body, 'secret')
  isMissing = false
  const page = await app.inject('/page/')
  t.equal(page.statusCode, 200)
  t.match(page.body, '<link rel="modulepreload" href="assets/b.js">')
})

async function resolved () {
  const { resolveOptions } = await import('../lib/base/options.js')
  return resolveOptions({}, {})
}
