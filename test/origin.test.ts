import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { chromium, type Browser } from 'playwright-core'
import t from 'tap'
import { isOriginAllowed } from '../lib/routes/websocket/origin.js'
import { boot } from './support/app.js'
import { exchange, RawClient, upgradeRequest } from './support/raw-client.js'
import { findChromium, onlyWith, pathOf } from './support/skip.js'

const HOST = 'ops.example.com'
/** These tests are about origins. */
const ANY_HOST = { websocket: { allowedHosts: '*' } } as const

interface Row { title: string, origin: string | undefined, host?: string, protocol?: 'http' | 'https', isAllowed: boolean }

const sameOrigin: Row[] = [
  { title: 'the same origin', origin: 'http://ops.example.com', isAllowed: true },
  { title: 'the same origin with a port', origin: 'http://ops.example.com:8080', host: 'ops.example.com:8080', isAllowed: true },
  { title: 'a Host that spells the default port out', origin: 'http://ops.example.com', host: 'ops.example.com:80', isAllowed: true },
  { title: 'an origin that spells the default port out', origin: 'http://ops.example.com:80', isAllowed: true },
  { title: 'the default port of TLS behind TLS', origin: 'https://ops.example.com', host: 'ops.example.com:443', protocol: 'https', isAllowed: true },
  { title: 'a page with TLS in front of a proxy that the app does not know of', origin: 'https://ops.example.com', isAllowed: true },
  { title: 'a Host in upper case, as some clients keep it', origin: 'http://ops.example.com', host: 'OPS.Example.COM', isAllowed: true },
  { title: 'IPv6', origin: 'http://[::1]:3000', host: '[::1]:3000', isAllowed: true },
  { title: 'IPv6 on the default port', origin: 'http://[::1]', host: '[::1]:80', isAllowed: true },
  { title: 'no Origin, which is no browser', origin: undefined, isAllowed: true },
  { title: 'another port', origin: 'http://ops.example.com:8080', isAllowed: false },
  { title: 'a port that the Host lacks', origin: 'http://ops.example.com', host: 'ops.example.com:8080', isAllowed: false },
  { title: 'the port of TLS without TLS', origin: 'http://ops.example.com:443', isAllowed: false },
  { title: 'the port of plain HTTP with TLS', origin: 'https://ops.example.com:80', protocol: 'https', isAllowed: false },
  { title: 'a page without TLS to a host with TLS', origin: 'http://ops.example.com', protocol: 'https', isAllowed: false },
  { title: 'a scheme that is no page\'s', origin: 'ws://ops.example.com', isAllowed: false },
  { title: 'an extension', origin: 'chrome-extension://ops.example.com', isAllowed: false },
  { title: 'a suffix', origin: 'http://ops.example.com.evil.example', isAllowed: false },
  { title: 'a prefix', origin: 'http://evil-ops.example.com', isAllowed: false },
  { title: 'a subdomain', origin: 'http://a.ops.example.com', isAllowed: false },
  { title: 'the parent domain', origin: 'http://example.com', isAllowed: false },
  { title: 'a user in front', origin: 'http://ops.example.com@evil.example', isAllowed: false },
  { title: 'an evil user in front', origin: 'http://evil.example@ops.example.com', isAllowed: false },
  { title: 'a trailing dot', origin: 'http://ops.example.com.', isAllowed: false },
  { title: 'a host in upper case', origin: 'http://OPS.example.com', isAllowed: false },
  { title: 'a scheme in upper case', origin: 'HTTP://ops.example.com', isAllowed: false },
  { title: 'another IPv6 address', origin: 'http://[::2]:3000', host: '[::1]:3000', isAllowed: false },
  { title: 'another writing of an IPv6 address', origin: 'http://[0:0:0:0:0:0:0:1]:3000', host: '[::1]:3000', isAllowed: false },
  { title: 'another writing of an IPv4 address', origin: 'http://2130706433', host: '127.0.0.1', isAllowed: false },
  { title: 'the other loopback name', origin: 'http://localhost:3000', host: '127.0.0.1:3000', isAllowed: false },
  { title: 'null, a sandboxed page or a file', origin: 'null', isAllowed: false },
  { title: 'an empty Origin', origin: '', isAllowed: false },
  { title: 'a scheme alone', origin: 'http://', isAllowed: false },
  { title: 'a host alone', origin: 'ops.example.com', isAllowed: false },
  { title: 'a path', origin: 'http://ops.example.com/', isAllowed: false },
  { title: 'a query', origin: 'http://ops.example.com?', isAllowed: false },
  { title: 'a fragment', origin: 'http://ops.example.com#', isAllowed: false },
  { title: 'a backslash', origin: 'http://ops.example.com\\', isAllowed: false },
  { title: 'a space in front', origin: ' http://ops.example.com', isAllowed: false },
  { title: 'a tab behind', origin: 'http://ops.example.com\t', isAllowed: false },
  { title: 'a zero byte', origin: 'http://ops.example.com\0', isAllowed: false },
  { title: 'two origins, as repeated headers are joined', origin: 'http://ops.example.com, http://evil.example', isAllowed: false },
  { title: 'two origins with the good one last', origin: 'http://evil.example, http://ops.example.com', isAllowed: false },
  { title: 'two origins without a space', origin: 'http://ops.example.com,http://ops.example.com', isAllowed: false },
  { title: 'a star', origin: '*', isAllowed: false },
  { title: 'an empty port', origin: 'http://ops.example.com:', isAllowed: false }
]

t.test('an origin that is only similar to the same origin may not connect', async (t) => {
  for (const { title, origin, host = HOST, protocol = 'http', isAllowed } of sameOrigin) {
    t.equal(isOriginAllowed({ origin, host, protocol }, 'same-origin'), isAllowed, title)
  }
})

t.test('a page of another origin gets 403 before the upgrade and never counts as a connection', async (t) => {
  const app = await boot(t, ANY_HOST)
  let refusals = 0
  for (const { title, origin, host = HOST, protocol = 'http', isAllowed } of sameOrigin) {
    // Node.js accepts no zero byte in a header, and without a proxy the app is never behind TLS.
    if (protocol === 'https' || origin?.includes('\0') === true) continue
    // Node.js trims the whitespace around the value of a header.
    if (origin !== origin?.trim()) continue
    const headers = origin === undefined ? [] : [`Origin: ${origin}`]
    if (isAllowed) {
      const client = await RawClient.connect(app, { headers, host })
      t.equal(client.status, 101, title)
      client.socket.destroy()
    } else {
      refusals++
      const answer = await exchange(app, upgradeRequest({ headers, host }))
      t.match(answer, /^HTTP\/1\.1 403 /, title)
      t.notMatch(answer, /101 Switching|evil/, 'nothing else, and no echo')
    }
  }
  t.equal(app.missionControl.wsMetrics().connectionsTotal, sameOrigin.filter(({ isAllowed, protocol }) => isAllowed && protocol === undefined).length)
  t.match((await app.missionControl.metrics.render()).body, new RegExp(`refused.*origin.* ${refusals}$`, 'm'), 'each refusal is counted as one')
})

t.test('two Origin headers are refused, even if one of them is allowed', async (t) => {
  const app = await boot(t, ANY_HOST)
  for (const origins of [[`http://${HOST}`, 'http://evil.example'], ['http://evil.example', `http://${HOST}`], [`http://${HOST}`, `http://${HOST}`], ['', `http://${HOST}`]]) {
    t.match(await exchange(app, upgradeRequest({ headers: origins.map((origin) => `Origin: ${origin}`), host: HOST })), /^HTTP\/1\.1 403 /)
  }
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
})

t.test('an upgrade from a browser without a Host header has no same origin', async (t) => {
  const app = await boot(t, ANY_HOST)
  for (const origin of ['http://localhost', 'http://', '']) {
    const request = upgradeRequest({ headers: [`Origin: ${origin}`] }).replace('HTTP/1.1', 'HTTP/1.0').replace(/Host: .*\r\n/, '')
    t.match(await exchange(app, request), /^HTTP\/1\.1 403 /, origin)
  }
})

t.test('a list of origins allows exactly these origins', async (t) => {
  const list = ['https://ops.example.com', 'http://localhost:5173', 'app://mobile']
  for (const origin of [...list, undefined]) t.equal(isOriginAllowed({ origin, host: HOST, protocol: 'https' }, list), true, String(origin))
  const near = [
    'http://ops.example.com', 'https://ops.example.com:443', 'https://ops.example.com/', 'https://OPS.example.com', 'https://ops.example.com.', 'https://a.ops.example.com',
    'https://ops.example.com.evil.example', 'https://ops.example.com, https://ops.example.com', 'http://localhost', 'http://localhost:51730', 'null', '', '*', 'https://*.example.com'
  ]
  for (const origin of near) t.equal(isOriginAllowed({ origin, host: HOST, protocol: 'https' }, list), false, origin)
  t.equal(isOriginAllowed({ origin: `https://${HOST}`, host: HOST, protocol: 'https' }, []), false, 'the own origin is none of an empty list')

  const app = await boot(t, { websocket: { allowedOrigins: list, allowedHosts: '*' } })
  t.equal((await RawClient.connect(app, { headers: ['Origin: http://localhost:5173'] })).status, 101)
  t.match(await exchange(app, upgradeRequest({ headers: ['Origin: http://localhost:5174'] })), /^HTTP\/1\.1 403 /)
  t.match(await exchange(app, upgradeRequest({ headers: ['Origin: http://localhost'], host: 'localhost' })), /^HTTP\/1\.1 403 /, 'same origin is not on the list')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
})

t.test('a star allows every origin', async (t) => {
  const app = await boot(t, { websocket: { allowedOrigins: '*' } })
  for (const origin of ['http://evil.example', 'null', '']) {
    t.equal((await RawClient.connect(app, { headers: [`Origin: ${origin}`] })).status, 101, origin)
  }
})

t.test('same-origin works behind a proxy that terminates TLS, if the app trusts it', async (t) => {
  const forwarded = ['X-Forwarded-Proto: https', `X-Forwarded-Host: ${HOST}`]
  const app = await boot(t, ANY_HOST, { trustProxy: '127.0.0.1' })
  t.equal((await RawClient.connect(app, { headers: [...forwarded, `Origin: https://${HOST}`], host: '10.0.0.5:3000' })).status, 101)
  for (const origin of [`http://${HOST}`, 'http://10.0.0.5:3000', 'https://evil.example', `https://${HOST}:8443`]) {
    t.match(await exchange(app, upgradeRequest({ headers: [...forwarded, `Origin: ${origin}`], host: '10.0.0.5:3000' })), /^HTTP\/1\.1 403 /, origin)
  }
})

t.test('forged forwarding headers are ignored if no proxy is trusted', async (t) => {
  const app = await boot(t, ANY_HOST)
  const forged = ['X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https', 'Forwarded: host=evil.example', 'X-Original-Host: evil.example', 'X-Forwarded-Port: 443']
  for (const origin of ['https://evil.example', 'http://evil.example']) {
    t.match(await exchange(app, upgradeRequest({ headers: [...forged, `Origin: ${origin}`], host: HOST })), /^HTTP\/1\.1 403 /)
  }
  t.equal((await RawClient.connect(app, { headers: [...forged, `Origin: http://${HOST}`], host: HOST })).status, 101)
})

const browser = process.env['CHROMIUM_PATH'] === undefined ? findChromium() : { path: process.env['CHROMIUM_PATH'] }

t.test('in a browser, a page of another port cannot connect and a page of the same origin can', onlyWith(browser), async (t) => {
  const app = await boot(t)
  const foreign = Fastify()
  t.teardown(() => foreign.close())
  for (const server of [app, foreign]) {
    server.get('/page', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>page</title>'))
    await server.listen({ port: 0, host: '127.0.0.1' })
  }
  const chrome = await chromium.launch({
    executablePath: pathOf(browser),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
  t.teardown(() => chrome.close())
  t.equal(await connectFromPage(chrome, foreign, app), 'refused')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 0)
  t.equal(await connectFromPage(chrome, app, app), 'pong')
  t.equal(app.missionControl.wsMetrics().connectionsTotal, 1)
})

const portOf = (app: FastifyInstance) => (app.server.address() as AddressInfo).port

/** Opens a page of one server that connects to the other. Returns the type of the reply to a ping, or `refused`. */
async function connectFromPage (chrome: Browser, pages: FastifyInstance, target: FastifyInstance): Promise<string> {
  const page = await chrome.newPage()
  await page.goto(`http://127.0.0.1:${portOf(pages)}/page`)
  const script = `new Promise((resolve) => {
    const socket = new WebSocket('ws://127.0.0.1:${portOf(target)}/ws/mission-control')
    socket.onopen = () => socket.send('{"type":"ping"}')
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type)
    socket.onerror = () => resolve('refused')
  })`
  const outcome = await page.evaluate<string>(script)
  await page.close()
  return outcome
}
