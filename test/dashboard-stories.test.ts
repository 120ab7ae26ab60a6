import { createServer, request as httpRequest } from 'node:http'
import { connect as connectSocket, type AddressInfo, type Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { AccessOptions, MissionControlOptions } from '../lib/index.js'
import { boot } from './support/app.js'
import { launchChromium } from './support/chromium.js'
import { findChromium, onlyWith } from './support/skip.js'

const chromium = findChromium()

const PATH = '/mission-control/'

/** Boots a service and listens, on `port` if given. Returns its origin too. */
async function serve (t: Test, options: MissionControlOptions = {}, port = 0): Promise<{ app: FastifyInstance, origin: string }> {
  const app = await boot(t, options)
  await app.listen({ host: '127.0.0.1', port })
  return { app, origin: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}` }
}

/** Opens the page in a browser profile of its own, whose cookie names the user. */
async function visit (chrome: Browser, url: string, user = 'nobody'): Promise<Page> {
  const context = await chrome.newContext()
  await context.addCookies([{ name: 'user', value: user, url: new URL(url).origin }])
  const page = await context.newPage()
  await page.goto(url)
  await live(page)
  return page
}

const live = async (page: Page): Promise<void> => { await page.locator('.connection-text', { hasText: /^live$/ }).waitFor() }

/** The names of the missions in the table, in its order. */
const namesOn = async (page: Page): Promise<string[]> => await page.locator('.mission-name').allInnerTexts()

/** The names of the buttons that start or stop missions. */
const controlsOn = async (page: Page): Promise<string[]> =>
  (await page.getByRole('button').allInnerTexts()).map((text) => text.trim()).filter((text) => /^(start mission|stop)/i.test(text))

const row = (page: Page, name: string) => page.locator('tr.mission', { hasText: name })

/** Users by the cookie of their session: `tenant/name`, or only a name for an operator. */
const BY_COOKIE: AccessOptions = {
  identify ({ headers: { cookie = '' } }: FastifyRequest) {
    const [, id = 'nobody'] = /user=([\w/%]+)/.exec(decodeURIComponent(cookie)) ?? []
    return id.includes('/') ? { id, tenant: id.split('/')[0]! } : { id }
  }
}

/** Forwards requests and upgrades to a service under another path, without reading them. */
async function openProxy (t: Test, port: number, rewrite: (path: string) => string): Promise<string> {
  const target = { host: '127.0.0.1', port }
  const sockets = new Set<Socket>()
  const proxy = createServer(({ url, method, headers }, response) => {
    httpRequest({ ...target, path: rewrite(url!), method, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    }).end()
  })
  proxy.on('upgrade', ({ url, rawHeaders }, socket, head) => {
    const service = connectSocket(target)
    const lines = rawHeaders.flatMap((name, at) => at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : [])
    service.write(`GET ${rewrite(url!)} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    service.write(head)
    for (const one of [socket as Socket, service]) {
      sockets.add(one)
      one.on('error', () => {})
    }
    socket.pipe(service).pipe(socket)
  })
  proxy.listen(0, '127.0.0.1')
  await new Promise((resolve) => proxy.once('listening', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    proxy.closeAllConnections()
    proxy.close()
  })
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}

t.test('the page of a real service', onlyWith(chromium), async (t) => {
  const chrome = await launchChromium(t, chromium)

  await t.test('offers its controls to those who may use them; the others see the result and the reason', async (t) => {
    const authorize: AccessOptions['authorize'] = ({ id }, { action }) => id === 'olga' || ['subscribe', 'replay', 'see'].includes(action)
    const { app, origin } = await serve(t, { access: { ...BY_COOKIE, authorize } })
    app.missions.handle({ start: { start: (command) => app.missions.start(command) }, cancel: {} })
    const mission = app.missions.start({ id: 'm1', name: 'import customers' })
    mission.signal.addEventListener('abort', () => { mission.cancelled() })
    const [viewer, operator] = [await visit(chrome, origin + PATH, 'vera'), await visit(chrome, origin + PATH, 'olga')]
    t.strictSame([await namesOn(viewer), await controlsOn(viewer)], [['import customers'], []], 'absent, not disabled')
    t.match(await controlsOn(operator), [/^Start mission/, /^Stop/])
    await viewer.goto(`${origin}${PATH}#/m/m1`)
    await viewer.getByRole('heading', { name: 'import customers' }).waitFor()
    t.strictSame(await controlsOn(viewer), [], 'nor on the mission itself')

    await row(operator, 'import customers').getByRole('button', { name: /^Stop/ }).click()
    await operator.getByLabel(/^Reason/).fill('wrong file')
    await operator.getByRole('button', { name: 'Stop mission' }).click()
    t.match(await mission.done, { status: 'cancelled', cancel: { kind: 'client', reason: 'wrong file' } })
    await viewer.getByText('wrong file').first().waitFor()
    await operator.getByRole('button', { name: 'Start mission…' }).click()
    await operator.getByLabel('Command').fill('export')
    await operator.getByRole('button', { name: 'Start mission', exact: true }).click()
    await viewer.goto(origin + PATH)
    await row(viewer, 'export').waitFor()
  })

  await t.test('shows each tenant its own missions, and operators all of them', async (t) => {
    const { app, origin } = await serve(t, { access: BY_COOKIE })
    const ended = app.missions.start({ name: 'acme ended', tenant: 'acme' })
    ended.fail(Object.assign(new Error('acme is over quota'), { code: 'quota' }))
    app.missions.start({ name: 'acme runs', tenant: 'acme' })
    const foreign = app.missions.start({ name: 'globex runs', tenant: 'globex' })
    const acme = await visit(chrome, origin + PATH, 'acme/ann')
    const globex = await visit(chrome, origin + PATH, 'globex/ben')
    const operator = await visit(chrome, origin + PATH, 'olga')
    await row(acme, 'acme ended').getByText('acme is over quota').waitFor()
    t.strictSame((await namesOn(acme)).sort(), ['acme ended', 'acme runs'])
    t.strictSame(await namesOn(globex), ['globex runs'])
    t.strictSame((await namesOn(operator)).sort(), ['acme ended', 'acme runs', 'globex runs'])
    foreign.complete()
    app.missions.start({ name: 'acme later', tenant: 'acme' })
    await row(acme, 'acme later').waitFor()
    t.notMatch(await acme.content(), /globex/)
    t.notMatch(await globex.content(), /acme/)
  })

  await t.test('lets an operator switch between tenants, live, and offers tenants no choice', async (t) => {
    const { app, origin } = await serve(t, { access: BY_COOKIE })
    const runs = ['acme', 'acme', 'globex'].map((tenant, index) => app.missions.start({ name: `${tenant} ${index}`, tenant }))
    app.missions.start({ name: 'of nobody' })
    const [acme, operator] = [await visit(chrome, origin + PATH, 'acme/ann'), await visit(chrome, origin + PATH, 'olga')]
    // The service has told the page of these only by updates, not in a list.
    app.missions.start({ name: 'globex later', tenant: 'globex' })
    await row(operator, 'globex later').waitFor()
    const tile = async (name: string, value: number, note: RegExp) => {
      const button = operator.getByRole('region', { name: 'Counts' }).getByRole('button', { name })
      await button.locator('.tile-value', { hasText: new RegExp(`^${value}$`) }).waitFor()
      await button.locator('.tile-note', { hasText: note }).waitFor()
    }
    await tile('Active', 5, /^now$/)
    await operator.getByLabel('Tenant').selectOption('globex')
    await operator.waitForURL(/tenant=globex/)
    await tile('Active', 2, /^now$/)
    t.strictSame((await namesOn(operator)).sort(), ['globex 2', 'globex later'])
    app.missions.start({ name: 'acme later', tenant: 'acme' })
    runs[0]!.complete()
    runs[2]!.fail(new Error('over quota'))
    app.missions.start({ name: 'globex last', tenant: 'globex' })
    await row(operator, 'globex last').waitFor()
    await row(operator, 'globex 2').getByText('over quota').waitFor()
    t.strictSame((await namesOn(operator)).sort(), ['globex 2', 'globex last', 'globex later'])
    await tile('Errors', 1, /^1 in 30 min · 100 %$/)
    await tile('Completed', 0, /^0 in 30 min$/)
    await operator.getByRole('img', { name: /^Active and ended since .* active 2, completed 0, errors 1$/ }).waitFor()
    await operator.getByLabel('Tenant').selectOption('acme')
    await row(operator, 'acme later').waitFor()
    t.strictSame((await namesOn(operator)).sort(), ['acme 0', 'acme 1', 'acme later'])
    await tile('Completed', 1, /^1 in 30 min$/)
    await operator.getByRole('img', { name: /^Active and ended since .* active 2, completed 1, errors 0$/ }).waitFor()
    await operator.reload()
    await live(operator)
    t.strictSame((await namesOn(operator)).sort(), ['acme 0', 'acme 1', 'acme later'], 'the view can be sent')
    await operator.getByLabel('Tenant').selectOption('All tenants')
    await tile('Active', 5, /^now$/)

    t.equal(await acme.getByLabel('Tenant').count(), 0)
    t.equal(await acme.locator('.chart', { hasText: 'Latency' }).count(), 0, 'and no chart that stays empty')
    await acme.goto(`${origin}${PATH}#/?tenant=globex`)
    await acme.getByText('No missions match').waitFor()
    t.notMatch((await acme.content()).replace(/<option.*?<\/option>/g, ''), /globex/, 'asking for it shows nothing of another tenant')
  })

  await t.test('shows what it knew as of then while the service restarts, and afterwards only what is true', async (t) => {
    const first = await serve(t)
    const { port } = first.app.server.address() as AddressInfo
    first.app.missions.start({ name: 'before the restart' })
    const page = await visit(chrome, first.origin + PATH)
    t.strictSame(await namesOn(page), ['before the restart'])
    await first.app.close()
    await page.getByText(/^reconnecting/).waitFor()
    await page.getByText(/^as of/).waitFor()
    t.strictSame(await namesOn(page), ['before the restart'], 'still there to be read')
    const second = await serve(t, {}, port)
    second.app.missions.start({ name: 'after the restart' })
    await live(page)
    await row(page, 'after the restart').waitFor()
    t.strictSame(await row(page, 'before the restart').getByText('executing').count(), 0, 'nothing is said to run that does not')
    await page.getByText(/The service was restarted/).waitFor()
  })

  await t.test('shows how a mission went that ended before the page was opened', async (t) => {
    const clock = createVirtualClock(Date.now() - 3_600_000)
    const { app, origin } = await serve(t, { clock } as MissionControlOptions)
    const mission = app.missions.start({ id: 'm', name: 'import', queuedAt: clock.now() - 30_000 })
    const step = (ms: number, report: () => void) => {
      clock.advance(ms)
      report()
    }
    step(5_000, () => mission.planned({ plan: ['read', 'write'] }))
    step(5_000, () => mission.progress({ taskId: 'read', index: 1, total: 2, status: 'running' }))
    step(20_000, () => mission.progress({ taskId: 'read', index: 1, total: 2, status: 'completed' }))
    step(40_000, () => mission.progress({ taskId: 'write', index: 2, total: 2, status: 'failed' }))
    step(10_000, () => mission.fail(new Error('disk full')))
    const page = await visit(chrome, `${origin}${PATH}#/m/m`)
    const detail = page.getByRole('complementary', { name: 'Mission' })
    await detail.getByText('disk full').waitFor()
    t.equal(await detail.locator('.phases').innerText(), 'queued 30 s\nplanning 10 s\nexecution 1 m 10 s')
    t.strictSame((await detail.locator('.task').allInnerTexts()).map((text) => text.replace(/\s+/g, ' ')), ['read 20 s completed', 'write 40 s failed'])
    t.equal(await detail.locator('.task-failed').count(), 1)
    t.strictSame((await detail.getByRole('heading', { name: 'Steps' }).locator('+ ul li').allInnerTexts()).map((text) => text.replace(/^.*:\d\d\s/, '')),
      ['error', 'execution progress', 'planned', 'planning started'])
  })

  await t.test('shows how a mission came to where it is that began before the page was opened', async (t) => {
    const { app, origin } = await serve(t)
    const mission = app.missions.start({ id: 'm', name: 'import' })
    mission.tasksGenerated(['read', 'write'])
    mission.executionStarted()
    mission.progress({ taskId: 'read', index: 1, total: 2, status: 'running' })
    const page = await visit(chrome, origin + PATH)
    await row(page, 'import').click()
    const steps = page.getByRole('complementary', { name: 'Mission' }).getByRole('heading', { name: 'Steps' }).locator('+ ul li')
    await steps.getByText('planning started').waitFor()
    t.equal(await steps.count(), 4)
    mission.complete()
    await steps.getByText('completed').waitFor()
    t.equal(await steps.count(), 5)
  })

  await t.test('works behind a proxy that removes a prefix, without a trailing slash too', async (t) => {
    const { app, origin } = await serve(t)
    app.missions.start({ name: 'import' })
    const proxy = await openProxy(t, Number(new URL(origin).port), (path) => path.replace(/^\/ops/, ''))
    const page = await visit(chrome, `${proxy}/ops/mission-control#/?status=active`)
    t.equal(page.url(), `${proxy}/ops${PATH}#/?status=active`)
    t.strictSame(await namesOn(page), ['import'])
    app.missions.start({ name: 'export' })
    await row(page, 'export').waitFor()
  })

  await t.test('tells a user whose session has been revoked, and connects no more', async (t) => {
    const { app, origin } = await serve(t, { access: BY_COOKIE })
    const page = await visit(chrome, origin + PATH, 'ann')
    t.equal(app.missionControl.revoke(({ id }) => id === 'ann'), 1)
    await page.getByText(/Your session has expired/).waitFor()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
  })
})
