import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { boot } from './support/app.js'
import { launchChromium } from './support/chromium.js'
import { blockOf, bundleModule, moduleOf } from './support/docs-blocks.js'
import { findChromium, onlyWith } from './support/skip.js'

const browser = findChromium()
const ROWS = 5_000
const UPDATES = 4 * ROWS

/** The lines of the docs in a page with two components that show the missions, and counters around them. */
const PAGE = `
import { createElement as h, memo, Profiler, StrictMode, useLayoutEffect } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from 'client'

const client = connect('/ws/mission-control')
const useMissions = setup(client)
const counts = { frames: 0, requested: 0, renders: 0, torn: 0, errors: [] }
const shown = {}
client.on('error', ({ code }) => counts.errors.push(code))
addEventListener('error', ({ message }) => counts.errors.push(message))

const requestFrame = window.requestAnimationFrame.bind(window)
requestFrame(function count () {
  counts.frames++
  requestFrame(count)
})
window.requestAnimationFrame = (run) => {
  counts.requested++
  return requestFrame(run)
}

const Row = memo(({ mission }) => h('li', null, mission.missionId + ' ' + mission.status))
function List () {
  const snapshot = useMissions()
  useLayoutEffect(() => { shown.list = snapshot })
  return h('ul', null, snapshot.missions.map((mission) => h(Row, { key: mission.missionId, mission })))
}
function Summary () {
  const snapshot = useMissions()
  useLayoutEffect(() => { shown.summary = snapshot })
  return h('p', null, snapshot.state + ' ' + snapshot.missions.length + ' ' + snapshot.lost.length)
}
function App () {
  const snapshot = useMissions()
  // After the effects of the children.
  useLayoutEffect(() => { if (shown.list !== snapshot || shown.summary !== snapshot) counts.torn++ })
  return h('main', null, h(List), h(Summary))
}

const app = createRoot(document.body)
app.render(h(StrictMode, null, h(Profiler, { id: 'app', onRender: () => counts.renders++ }, h(App))))
Object.assign(window, { client, counts, app, requestFrame, received: 0 })
`

/** Serves the page and 5,000 missions. */
async function serve (t: Test): Promise<FastifyInstance> {
  const app = await boot(t, { missions: { maxActive: ROWS } }, { forceCloseConnections: true })
  const script = await bundleModule(moduleOf(blockOf('react'), 'useMissions', PAGE), 'browser')
  app.get('/', async (_request, reply) => reply.type('text/html').send('<!doctype html><title>rows</title><body></body><script type="module" src="/page.js"></script>'))
  app.get('/page.js', async (_request, reply) => reply.type('text/javascript').send(script))
  for (let at = 0; at < ROWS; at++) app.missions.start({ id: `m${at}`, name: 'job' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app
}

t.test('the lines for React show 5,000 missions and 20,000 updates under StrictMode', onlyWith(browser), async (t) => {
  t.ok(blockOf('react').split('\n').filter((line) => line !== '').length <= 5, 'at most five lines')
  const app = await serve(t)
  const page = await (await launchChromium(t, browser)).newPage()
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  await page.goto(origin)
  await page.waitForFunction(`document.querySelectorAll('li').length === ${ROWS}`)
  await page.evaluate("client.on('mission_update', () => { received++ })")
  for (let update = 0; update < UPDATES; update++) {
    const id = `m${update % ROWS}`
    const status = (['tasks_generated', 'planned', 'execution_started'] as const)[Math.floor(update / ROWS)]
    if (status !== undefined) app.missions.report(id, status)
    else if (update % 10 === 0) app.missions.report(id, 'completed')
    else app.missions.get(id)!.progress({ taskId: 'task', index: 1, total: 2, status: 'started' })
    if (update % 100 === 99) await new Promise((resolve) => { setImmediate(resolve) })
    // A page that is slow for long would receive a gap instead of every update.
    if (update % 2_500 === 2_499) await page.waitForFunction(`received === ${update + 1}`)
  }
  await page.evaluate('new Promise((resolve) => { requestFrame(() => requestFrame(resolve)) })')
  const rows = await page.evaluate('[...document.querySelectorAll("li")].map(({ textContent }) => textContent)') as string[]
  t.strictSame(rows.sort(), app.missions.views().map(({ id, status }) => `${id} ${status}`).sort(), 'the rows are the state of the service')
  const counts = await page.evaluate('counts') as { frames: number, requested: number, renders: number, torn: number, errors: string[] }
  t.comment(`${counts.renders} renders in ${counts.frames} frames`)
  t.strictSame([counts.torn, counts.errors], [0, []])
  t.ok(counts.renders > 2 && counts.renders <= counts.frames, `${counts.renders} renders in ${counts.frames} frames`)

  await page.evaluate('app.unmount()')
  await page.evaluate('new Promise((resolve) => { requestFrame(() => requestFrame(resolve)) })')
  const { requested } = await page.evaluate('counts') as { requested: number }
  app.missions.report('m1', 'completed')
  await page.waitForFunction("client.missionsState.get('m1').status === 'completed'")
  t.equal((await page.evaluate('counts') as { requested: number }).requested, requested, 'nothing is subscribed after the unmount')
})
