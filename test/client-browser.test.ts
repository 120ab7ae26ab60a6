import type { AddressInfo, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import Fastify from 'fastify'
import { chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import missionControl from '../lib/index.js'
import { closingSoon } from './support/app.js'
import { findChromium, onlyWith, pathOf } from './support/skip.js'

const browser = findChromium()

const PAGE = `<!doctype html><title>missions</title><script type="module">
  import { connect } from '/client.js'
  const client = window.client = connect('/ws/mission-control', { storage: sessionStorage })
  client.on('mission_update', ({ missionId, status, snapshot }) => tell((snapshot ? 'is ' : '') + status + ' ' + missionId))
  client.on('state', ({ state, cause }) => tell(state + ': ' + cause))
  client.on('error', ({ code }) => tell(code))
</script>`

/** The client as a page loads it. */
async function bundle (): Promise<string> {
  const entry = fileURLToPath(new URL('../lib/client/index.ts', import.meta.url))
  const { outputFiles } = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', platform: 'browser', write: false })
  return outputFiles[0]!.text
}

/** A service with a page that follows it, in a browser; `heard` is all that the page was told, over reloads too. */
async function open (t: Test) {
  const app = Fastify({ forceCloseConnections: true })
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => { sockets.add(socket.once('close', () => sockets.delete(socket))) })
  await app.register(missionControl, closingSoon(app, {}))
  const script = await bundle()
  app.get('/', async (_request, reply) => reply.type('text/html').send(PAGE))
  app.get('/empty', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>empty</title>'))
  app.get('/client.js', async (_request, reply) => reply.type('text/javascript').send(script))
  await app.listen({ port: 0, host: '127.0.0.1' })
  const chrome = await chromium.launch({
    executablePath: pathOf(browser),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
  t.teardown(async () => {
    await chrome.close()
    await app.close()
  })
  const page = await chrome.newPage()
  const heard: string[] = []
  await page.exposeFunction('tell', (text: string) => { heard.push(text) })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  await page.goto(origin)
  await ready(page)
  return { app, page, heard, origin, cutAll: () => { for (const socket of sockets) socket.destroy() } }
}

const ready = async (page: Page): Promise<void> => { await page.evaluate('client.ready.then(() => client.ping()).then(() => undefined)') }

/** Waits for a state and a cause of the client of the page. */
const reach = async (page: Page, state: string, cause: string): Promise<void> => {
  await page.waitForFunction(`client.state === '${state}' && client.cause === '${cause}'`)
}

const show = async (page: Page, visibility: 'hidden' | 'visible'): Promise<void> => {
  await page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${visibility}', configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`)
}

t.test('a page', onlyWith(browser), async (t) => {
  await t.test('that was offline comes back as soon as the network does, and hears each ending once', async (t) => {
    const { app, page, heard, cutAll } = await open(t)
    const missions = ['a', 'b'].map((id) => app.missions.start({ id, name: 'job' }))
    await ready(page)
    await page.context().setOffline(true)
    cutAll()
    await page.waitForFunction("client.state === 'waiting'")
    missions[0]!.complete()
    await page.context().setOffline(false)
    await page.waitForFunction("client.missionsState.get('a').status === 'completed'")
    missions[1]!.fail(new Error('over'))
    await page.waitForFunction("client.missionsState.get('b').status === 'error'")
    t.strictSame(heard.filter((text) => / [ab]$/.test(text)), ['planning_started a', 'planning_started b', 'completed a', 'error b'])
  })

  await t.test('that nobody sees does not connect, and does as soon as it is seen', async (t) => {
    const { app, page, heard, cutAll } = await open(t)
    await show(page, 'hidden')
    cutAll()
    await reach(page, 'waiting', 'hidden')
    app.missions.start({ id: 'a', name: 'job' }).complete()
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0)
    await show(page, 'visible')
    await page.waitForFunction("client.missionsState.get('a')?.status === 'completed'")
    t.ok(heard.includes('connecting: visibilitychange'))
  })

  await t.test('that is loaded again, or left and come back to, hears what it missed once', async (t) => {
    const { app, page, heard, origin } = await open(t)
    const missions = ['a', 'b', 'c'].map((id) => app.missions.start({ id, name: 'job' }))
    await ready(page)
    heard.length = 0
    await page.reload()
    await ready(page)
    t.strictSame(heard.filter((text) => / [abc]$/.test(text)), ['is planning_started a', 'is planning_started b', 'is planning_started c'], 'what is, and nothing that was told before')
    await page.goto(`${origin}/empty`)
    missions[0]!.complete()
    heard.length = 0
    await page.goto(origin)
    await ready(page)
    missions[1]!.complete()
    await page.waitForFunction("client.missionsState.get('b').status === 'completed'")
    t.strictSame(heard.filter((text) => / [abc]$/.test(text)), ['completed a', 'is planning_started b', 'is planning_started c', 'completed b'])
    t.notOk(heard.some((text) => text.startsWith('MC_CLIENT')))
  })
})
