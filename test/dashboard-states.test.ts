import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Browser, CDPSession, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { bearerToken } from '../lib/index.js'
import { launchChromium } from './support/chromium.js'
import { serve, violations, visit, type Service, type ServiceOptions } from './support/dashboard-page.js'
import { findChromium, onlyWith } from './support/skip.js'

const browser = findChromium()
const PATH = '/mission-control/'

const row = (page: Page, name: string) => page.locator('tr.mission', { hasText: name })
const connection = (page: Page, text: string | RegExp) => page.locator('.connection-text', { hasText: text })
const live = async (page: Page): Promise<void> => { await connection(page, /^live$/).waitFor({ timeout: 30_000 }) }

/** A service that knows its users by bearer tokens alone. `tokens` are those that it accepts now. */
interface BearerService extends Service { tokens: Set<string>, seen: string[] }

async function serveBearers (t: Test, { options = {}, setUp }: ServiceOptions, lifeMs = Infinity): Promise<BearerService> {
  const tokens = new Set(['first', 'second'])
  const seen: string[] = []
  const identify = (request: Parameters<typeof bearerToken>[0]) => {
    const token = bearerToken(request)
    if (token !== undefined) seen.push(token)
    return token !== undefined && tokens.has(token) ? { id: 'ann', expiresAt: Date.now() + lifeMs } : null
  }
  return { ...await serve(t, { options: { ...options, access: { identify } }, ...setUp && { setUp } }), tokens, seen }
}

/** A page of a host, on the origin of `app` or on one of its own. Its answers are in `received`. */
const hostPage = (script: string) => `<!doctype html><title>host</title><body><script>window.received = []\n${script}</script>`

const ANSWER = `addEventListener('message', ({ data, source, origin }) => {
  received.push(data)
  if (origin === location.origin && data.type === 'mission-control:get-token') source.postMessage({ type: 'mission-control:token', token: 'first' }, origin)
})`

const servePage = (app: FastifyInstance, html: string) => app.get('/host', (_request, reply) => reply.type('text/html').send(html))

/** Another website. Returns its origin, and the addresses that were requested from it. */
async function serveForeign (t: Test, htmlFor: (origin: string) => string = () => ''): Promise<{ origin: string, requested: string[] }> {
  const app = Fastify({ forceCloseConnections: true })
  const requested: string[] = []
  app.addHook('onRequest', async ({ url }) => { requested.push(url) })
  app.get('/*', (_request, reply) => reply.type('text/html').send(htmlFor(origin)))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => { await app.close() })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return { origin, requested }
}

const newPage = async (t: Test, chrome: Browser): Promise<Page> => {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 900 } })
  t.teardown(async () => { await context.close() })
  return await context.newPage()
}

const emulate = async (cdp: CDPSession, latency: number, bytesPerSecond: number): Promise<void> => {
  await cdp.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: bytesPerSecond, uploadThroughput: bytesPerSecond })
}

t.test('a page of bearer tokens', onlyWith(browser), async (t) => {
  const chrome = await launchChromium(t, browser)

  await t.test('asks an address, says that the session has expired, and goes on after a new sign-in', async (t) => {
    let isSignedIn = true
    const setUp = (app: FastifyInstance) => {
      app.get('/session/token', (_request, reply) => isSignedIn ? reply.send({ token: 'first' }) : reply.code(401).send())
    }
    const { app, origin, seen } = await serveBearers(t, { options: { dashboard: { getToken: '/session/token' } }, setUp }, 2_000)
    const mission = app.missions.start({ name: 'import' })
    const { page } = await visit(t, chrome, origin)
    await row(page, 'import').waitFor()
    t.strictSame([...new Set(seen)], ['first'])
    isSignedIn = false
    await connection(page, /^session expired, trying again$/).waitFor({ timeout: 20_000 })
    await page.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor()
    t.equal(await page.locator('table.outdated').count(), 1, 'what it knew stays, greyed')
    t.strictSame(await violations(page), [])
    mission.complete()
    isSignedIn = true
    await page.getByRole('button', { name: 'Retry now' }).click()
    await live(page)
    await row(page, 'import').getByText('completed').waitFor()
  })

  await t.test('asks the window that opened it, and the page that embeds it', async (t) => {
    const { app, origin } = await serveBearers(t, {
      options: { dashboard: { getToken: 'opener' } },
      setUp: (app) => servePage(app, hostPage(`${ANSWER}
        window.show = () => open('${PATH}')
        window.embed = () => document.body.append(Object.assign(document.createElement('iframe'), { src: '${PATH}', width: 1000, height: 800 }))`))
    })
    app.missions.start({ name: 'import' })
    const host = await newPage(t, chrome)
    await host.goto(`${origin}/host`)
    const [popup] = await Promise.all([host.waitForEvent('popup'), host.evaluate('void show()')])
    await live(popup)
    await row(popup, 'import').waitFor()
    await popup.close()
    await host.evaluate('embed()')
    await host.frameLocator('iframe').locator('tr.mission', { hasText: 'import' }).waitFor()
    t.strictSame(await host.evaluate('received'), [{ type: 'mission-control:get-token' }, { type: 'mission-control:get-token' }])
  })

  await t.test('neither asks a page of another origin, nor takes a token from it', async (t) => {
    const foreign = await serveForeign(t, () => hostPage(`
      addEventListener('message', ({ data }) => received.push(data))
      window.show = (url) => { const child = open(url); setInterval(() => child.postMessage({ type: 'mission-control:token', token: 'first' }, '*'), 100) }
      window.embed = (url) => document.body.append(Object.assign(document.createElement('iframe'), { src: url }))`))
    const { app, origin, seen } = await serveBearers(t, { options: { dashboard: { getToken: 'opener' } } })
    const host = await newPage(t, chrome)
    await host.goto(foreign.origin)
    const [popup] = await Promise.all([host.waitForEvent('popup'), host.evaluate(`show('${origin}${PATH}')`)])
    await connection(popup, /^session expired/).waitFor({ timeout: 20_000 })
    await host.evaluate(`embed('${origin}${PATH}')`)
    await host.waitForFunction("document.querySelector('iframe').contentDocument === null")
    t.equal(await host.frameLocator('iframe').locator('main').count(), 0, 'and it cannot be embedded')
    t.strictSame([await host.evaluate('received'), seen, app.missionControl.wsMetrics().connectionsTotal], [[], [], 0])
  })

  await t.test('follows no redirect to another origin', async (t) => {
    const foreign = await serveForeign(t)
    const setUp = (app: FastifyInstance) => { app.get('/token', (_request, reply) => reply.redirect(`${foreign.origin}/token`)) }
    const { origin, seen } = await serveBearers(t, { options: { dashboard: { getToken: '/token' } }, setUp })
    const page = await newPage(t, chrome)
    await page.goto(origin + PATH)
    await connection(page, /^session expired/).waitFor()
    t.strictSame([foreign.requested, seen], [[], []])
  })
})

t.test('a page that is not up to date', onlyWith(browser), async (t) => {
  const chrome = await launchChromium(t, browser)

  await t.test('offers to reload when the service speaks a newer protocol, and goes on with what it understands', async (t) => {
    const { app, origin } = await serve(t)
    const page = await newPage(t, chrome)
    await page.routeWebSocket(/mission-control/, (client) => {
      const server = client.connectToServer()
      server.onMessage((text) => client.send(JSON.stringify({ ...JSON.parse(String(text)) as object, protocolVersion: 2, extra: {} })))
    })
    await page.goto(origin + PATH)
    await page.getByText('The service is newer than this page.').waitFor()
    t.strictSame(await violations(page), [])
    app.missions.start({ name: 'import' })
    await row(page, 'import').waitFor()
    await page.unrouteAll()
    await Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Reload', exact: true }).click()])
  })

  await t.test('offers to reload when the service was updated while it was away', async (t) => {
    const { origin, dropAll } = await serve(t)
    const { page } = await visit(t, chrome, origin)
    const reconnected = page.waitForEvent('websocket')
    dropAll()
    await reconnected
    await live(page)
    t.equal(await page.getByText(/newer than this page/).count(), 0, 'not for a lost connection alone')
    await page.route(origin + PATH, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: (await response.text()).replace(/app-\w+\.js/, 'app-NEWER.js') })
    })
    dropAll()
    await page.getByText('The service is newer than this page.').waitFor({ timeout: 30_000 })
  })

  await t.test('becomes usable on a slow network, says how old its picture is, and replaces it afterwards', async (t) => {
    const { app, origin, sockets } = await serve(t, { options: { websocket: { heartbeatMs: 1_500 } } })
    app.missions.start({ id: 'a', name: 'import' })
    const page = await newPage(t, chrome)
    const heartbeat = new Promise<void>((resolve) => {
      page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => { if (String(payload).includes('"type":"heartbeat"')) resolve() }))
    })
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('Network.enable')
    await emulate(cdp, 400, 50_000)
    await page.goto(origin + PATH)
    await live(page)
    await page.getByRole('button', { name: /^Active 1/ }).first().click()
    await page.waitForURL(/status=active/)
    await page.getByRole('button', { name: /^All/ }).click()
    await heartbeat
    // The network delivers nothing, without a sign of an end.
    for (const socket of sockets) socket.cork()
    const staleFor = async () => Number(/\d+/.exec(await connection(page, /^stale for \d+ s$/).innerText({ timeout: 20_000 }))![0])
    const first = await staleFor()
    t.ok(first >= 3)
    await page.getByText(/^as of \d\d:\d\d:\d\d$/).waitFor()
    t.equal(await page.locator('table.outdated').count(), 1)
    t.strictSame(await violations(page), [])
    await connection(page, new RegExp(`^stale for (${[2, 3, 4].map((more) => first + more).join('|')}) s$`)).waitFor()
    app.missions.get('a')!.complete()
    app.missions.start({ name: 'export' })
    for (const socket of sockets) socket.uncork()
    await live(page)
    await row(page, 'import').getByText('completed').waitFor()
    await row(page, 'export').waitFor()
    t.equal(await page.locator('table.outdated').count(), 0)
  })

  await t.test('says what the service has cut', async (t) => {
    const { app, origin } = await serve(t)
    const mission = app.missions.start({ id: 'a', name: 'import', tags: Array.from({ length: 14 }, (_, index) => `tag-${index}`), metadata: { text: 'x'.repeat(400_000) } })
    mission.planned({ plan: { text: 'y'.repeat(400_000) } })
    const { page, problems } = await visit(t, chrome, origin, { hash: '#/m/a' })
    const drawer = page.getByRole('complementary', { name: 'Mission' })
    await drawer.getByText('and 4 more').waitFor()
    const metadata = drawer.locator('details', { hasText: 'Metadata' })
    t.match(await metadata.locator('summary').innerText(), /truncated, 400\s01\d bytes/)
    await metadata.locator('summary').click()
    await metadata.getByText('The service has sent only the beginning of this value.').waitFor()
    t.match(await metadata.locator('pre').innerText(), /^\{"text":"xxx/)
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('names the component that is not healthy, and why', async (t) => {
    const { app, origin } = await serve(t, { options: { health: { intervalMs: 100 } } })
    app.monitoring.addHealthCheck({ name: 'database', run: async () => {} })
    app.monitoring.addHealthCheck({ name: 'queue', run: async () => ({ status: 'degraded', reason: '12,000 jobs wait' }) })
    app.monitoring.addHealthCheck({ name: 'mail', run: async () => { throw new Error('secret') } })
    const { page, problems } = await visit(t, chrome, origin)
    await page.locator('summary', { hasText: /degraded: (queue|mail) and 1 more/ }).click()
    const lines = page.locator('.health-row')
    await lines.filter({ hasText: 'queue' }).getByText('degraded: 12,000 jobs wait').waitFor()
    await lines.filter({ hasText: 'mail' }).getByText('unhealthy (check failed)').waitFor()
    t.notMatch(await page.content(), /secret/)
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('has a place for the latency that nobody has measured yet, and for the first value', async (t) => {
    const { app, origin } = await serve(t)
    const { page, problems } = await visit(t, chrome, origin)
    const chart = page.locator('.chart', { hasText: 'Latency of operations' })
    await chart.getByText(/^No operations yet/).waitFor({ timeout: 20_000 })
    t.strictSame(await violations(page), [])
    await app.monitoring.time('model', 'complete', async () => {})
    await chart.locator('.chart-value', { hasText: /^p95 \d+ ms$/ }).waitFor()
    t.strictSame(problems, [])
  })
})

t.test('a stop, and what a screen reader says', onlyWith(browser), async (t) => {
  const chrome = await launchChromium(t, browser)

  await t.test('counts the grace period down, and tells which missions ended and which were forced', async (t) => {
    const { app, origin } = await serve(t, { options: { missions: { cancelGraceMs: 4_000 } }, setUp: ({ missions }) => missions.handle({ cancel: {} }) })
    let end!: () => void
    const tail = new Promise<void>((resolve) => { end = resolve })
    t.teardown(() => end())
    app.missions.run('deaf', async () => { await tail }).catch(() => {})
    app.missions.run('polite', async ({ signal }) => { await new Promise((_resolve, reject) => signal.addEventListener('abort', () => { setTimeout(() => reject(new Error('stopped')), 500) })) }).catch(() => {})
    const { page, problems } = await visit(t, chrome, origin)
    for (const name of ['deaf', 'polite']) await page.getByRole('checkbox', { name: `Select ${name}` }).check()
    await page.getByRole('button', { name: 'Stop 2 selected…' }).click()
    await page.getByLabel('Reason').fill('maintenance')
    await page.getByRole('button', { name: 'Stop missions' }).click()
    await row(page, 'deaf').getByText('stopping…').waitFor()
    await row(page, 'deaf').click()
    const stopping = page.locator('.stopping')
    const left: number[] = []
    while (await stopping.count() > 0) {
      const seconds = /(\d+) s/.exec(await stopping.innerText({ timeout: 500 }).catch(() => ''))
      if (seconds !== null && left.at(-1) !== Number(seconds[1])) left.push(Number(seconds[1]))
    }
    t.ok(left.length >= 3 && left.every((seconds, at) => at === 0 || seconds < left[at - 1]!), `the seconds go down: ${left.join(', ')}`)
    t.ok(left[0]! <= 4)
    await page.getByText(/forced: the work did not end within the grace period/).waitFor()
    await row(page, 'deaf').getByText('maintenance (forced)').waitFor()
    await row(page, 'polite').getByText(/^maintenance$/).waitFor()
    t.strictSame(problems, [])
  })

  await t.test('announces endings in batches, and only critical alerts at once', async (t) => {
    const { app, origin } = await serve(t)
    const missions = Array.from({ length: 6 }, (_, index) => app.missions.start({ name: `job ${index}` }))
    const { page } = await visit(t, chrome, origin, { isVirtual: true })
    await row(page, 'job 5').waitFor()
    await page.evaluate(`
      window.said = []
      for (const [role, level] of [['status', 'polite'], ['alert', 'assertive']]) {
        for (const region of document.querySelectorAll('[role=' + role + ']')) {
          new MutationObserver(() => said.push(level + ': ' + region.textContent)).observe(region, { childList: true, characterData: true, subtree: true })
        }
      }
    `)
    const said = async () => await page.evaluate('said.splice(0)') as string[]
    for (const mission of missions.slice(0, 3)) mission.fail(new Error('broken'))
    missions[3]!.cancelled('not needed')
    missions[4]!.complete()
    await row(page, 'job 4').getByText('completed').waitFor()
    t.strictSame(await said(), [], 'not each by itself')
    await page.clock.runFor(5_000)
    t.strictSame(await said(), ['polite: 3 missions failed. 1 mission cancelled. 1 mission completed'])
    missions[5]!.complete()
    await row(page, 'job 5').getByText('completed').waitFor()
    await page.clock.runFor(5_000)
    t.strictSame(await said(), [], 'a success alone is no news')
    const alert = { rule: 'own', state: 'firing', category: 'mission', metric: null, value: null, threshold: null, details: null } as const
    app.missionControl.publish('anomaly_alert', { ...alert, alertId: 'w', severity: 'warning', message: 'The queue grows' })
    await page.locator('.alert', { hasText: 'The queue grows' }).waitFor()
    app.missionControl.publish('anomaly_alert', { ...alert, alertId: 'c', severity: 'critical', message: 'The queue is full' })
    await page.locator('.alert', { hasText: 'The queue is full' }).waitFor()
    t.strictSame(await said(), ['assertive: Critical alert: The queue is full'])
    await page.clock.runFor(5_000)
    t.strictSame(await said(), ['polite: Alert: The queue grows'])
    app.missionControl.publish('anomaly_alert', { ...alert, alertId: 'c', severity: 'info', state: 'resolved', message: 'The queue is full' })
    await page.locator('.alert-critical').waitFor({ state: 'detached' })
    await page.clock.runFor(5_000)
    t.strictSame(await said(), [], 'the end of an alert interrupts nobody')
  })
})
