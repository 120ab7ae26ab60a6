import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import missionControl from '../lib/index.js'
import { closingSoon } from './support/app.js'
import { launchChromium } from './support/chromium.js'
import { findChromium, onlyWith } from './support/skip.js'

const browser = findChromium()

const PAGE = `<!doctype html><title>missions</title><script type="module">
  import { connect } from '/client.js'
  const client = window.client = connect('/ws/mission-control', { storage: sessionStorage })
  client.on('mission_update', ({ missionId, status, snapshot }) => report((snapshot ? 'is ' : '') + status + ' ' + missionId))
  client.on('state', ({ state, cause }) => report(state + ': ' + cause))
  client.on('error', ({ code }) => report(code))
</script>`

/** Bundles the client as a page loads it. */
async function bundle (): Promise<string> {
  const entry = fileURLToPath(new URL('../lib/client/index.ts', import.meta.url))
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', platform: 'browser', write: false })
  return outputFiles[0]!.text
}

/** Starts a service and opens a page that follows it. `received` collects the events of the page across reloads. */
async function open (t: Test) {
  const app = Fastify({ forceCloseConnections: true })
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => { sockets.add(socket.once('close', () => sockets.delete(socket))) })
  await app.register(missionControl, closingSoon({}))
  const script = await bundle()
  app.get('/', async (_request, reply) => reply.type('text/html').send(PAGE))
  app.get('/empty', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>empty</title>'))
  app.get('/client.js', async (_request, reply) => reply.type('text/javascript').send(script))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => { await app.close() })
  const chrome = await launchChromium(t, browser)
  const page = await chrome.newPage()
  const received: string[] = []
  await page.exposeFunction('report', (text: string) => { received.push(text) })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  await page.goto(origin)
  await ready(page)
  return { app, page, received, origin, dropAll: () => { for (const socket of sockets) socket.destroy() } }
}

const ready = async (page: Page): Promise<void> => { await page.evaluate('client.ready.then(() => client.ping()).then(() => undefined)') }

/** Waits until the client of the page has this state and cause. */
const reach = async (page: Page, state: string, cause: string): Promise<void> => {
  await page.waitForFunction(`client.state === '${state}' && client.cause === '${cause}'`)
}

const show = async (page: Page, visibility: 'hidden' | 'visible'): Promise<void> => {
  await page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${visibility}', configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`)
}

t.test('a page', onlyWith(browser), async (t) => {
  await t.test('that was offline reconnects when the network is back and receives the end of each mission once', async (t) => {
    const { app, page, received, dropAll } = await open(t)
    const missions = ['a', 'b'].map((id) => app.missions.start({ id, name: 'job' }))
    await ready(page)
    await page.context().setOffline(true)
    dropAll()
    await page.waitForFunction("client.state === 'waiting'")
    missions[0]!.complete()
    await page.context().setOffline(false)
    await page.waitForFunction("client.missionsState.get('a').status === 'completed'")
    missions[1]!.fail(new Error('over'))
    await page.waitForFunction("client.missionsState.get('b').status === 'error'")
    t.strictSame(received.filter((text) => / [ab]$/.test(text)), ['planning_started a', 'planning_started b', 'completed a', 'error b'])
  })

  await t.test('that is hidden does not connect until it is visible', async (t) => {
    const { app, page, received, dropAll } = await open(t)
    await show(page, 'hidden')
    dropAll()
    await reach(page, 'waiting', 'hidden')
    app.missions.start({ id: 'a', name: 'job' }).complete()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
    await show(page, 'visible')
    await page.waitForFunction("client.missionsState.get('a')?.status === 'completed'")
    t.ok(received.includes('connecting: visibilitychange'))
  })

  await t.test('that is reloaded, or left and reopened, receives missed messages once', async (t) => {
    const { app, page, received, origin } = await open(t)
    const missions = ['a', 'b', 'c'].map((id) => app.missions.start({ id, name: 'job' }))
    await ready(page)
    received.length = 0
    await page.reload()
    await ready(page)
    t.strictSame(received.filter((text) => / [abc]$/.test(text)), ['is planning_started a', 'is planning_started b', 'is planning_started c'], 'a snapshot, and no message again')
    await page.goto(`${origin}/empty`)
    missions[0]!.complete()
    received.length = 0
    await page.goto(origin)
    await ready(page)
    missions[1]!.complete()
    await page.waitForFunction("client.missionsState.get('b').status === 'completed'")
    t.strictSame(received.filter((text) => / [abc]$/.test(text)), ['completed a', 'is planning_started b', 'is planning_started c', 'completed b'])
    t.notOk(received.some((text) => text.startsWith('MC_CLIENT')))
  })
})
