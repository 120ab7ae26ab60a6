// Follows work that another system does and that can only be asked about: a plain setTimeout poller.
//
// It needs nothing but Fastify and this package; the other system, a print shop, comes with it (poller/print-shop.ts):
//
//   npm run build:examples && node .examples/poller.js
//
// Four orders: one goes well, one waits for its turn, one fails, and one jams without a word. It takes a few seconds.
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { type Mission } from 'fastify-mission-control'
import { interruption, runProgram } from './flags.js'
import { PrintShop, type Fate, type Order } from './poller/print-shop.js'

const POLL_MS = 50
const STALL_MS = 1_500
const TIMEOUT_MS = 4_000

const FATES: Fate[] = [
  { title: 'flyer', pages: 8 },
  { title: 'poster', pages: 4, queuedMs: 2_000 },
  { title: 'brochure', pages: 20, failsAt: 6 },
  { title: 'catalogue', pages: 30, jamsAt: 10 }
]

/** Follows one order as a mission until it has ended, here or there. */
async function follow (app: FastifyInstance, shopUrl: string, id: string, title: string): Promise<Mission> {
  const url = `${shopUrl}/orders/${id}`
  const mission = app.missions.start({ id, name: title, timeoutMs: TIMEOUT_MS })
  // A request to end must reach the shop; only what the shop says then ends the mission.
  mission.signal.addEventListener('abort', () => { withdraw(url, mission).catch((err: unknown) => mission.fail(err)) }, { once: true })
  while (!mission.isTerminal) {
    try {
      report(mission, await readOrder(url))
    } catch (err) {
      // Says nothing of the order. If it lasts, the mission shows no life and is flagged as stalled.
      console.error(`${title}: ${(err as Error).message}`)
    }
    await sleep(POLL_MS)
  }
  return mission
}

/** What the shop tells becomes a report; that it answers at all is no sign of life of the order. */
function report (mission: Mission, { state, printed, pages, failure }: Order): void {
  if (state === 'queued') mission.waiting('for its turn')
  if (state === 'warming_up') mission.heartbeat()
  if (printed > (mission.view().progress?.index ?? 0)) mission.progress({ taskId: 'pages', index: printed, total: pages, status: state })
  if (state === 'failed') mission.fail({ code: failure, message: `the shop gave up after ${printed} of ${pages} pages` })
  if (state === 'printed') mission.complete()
  if (state === 'withdrawn') mission.report('cancelled')
}

async function readOrder (url: string): Promise<Order> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`the shop answered ${response.status}`)
  return await response.json() as Order
}

async function withdraw (url: string, mission: Mission): Promise<void> {
  const response = await fetch(url, { method: 'DELETE' })
  report(mission, await response.json() as Order)
}

/** Prints what happens, each thing once. */
function show (app: FastifyInstance): void {
  const last = new Map<string, string>()
  app.missions.on('mission_update', ({ missionId, name, status, waiting, stalled, cancel, error }) => {
    const asked = cancel && `${cancel.kind}${cancel.forced === true ? ', forced' : ''}`
    const why = error?.code ?? asked ?? (waiting === undefined ? undefined : `waiting ${waiting}`) ?? (stalled === true ? 'stalled' : '')
    const line = `${name} ${status} ${why}`.trim()
    if (last.get(missionId) !== line) console.log(line)
    last.set(missionId, line)
  })
}

await runProgram('Usage: node .examples/poller.js', async () => {
  const signal = interruption()
  const shop = await PrintShop.open()
  const app = Fastify()
  await app.register(missionControl, { server: { name: 'orders', version: '1.0.0' }, missions: { stallMs: STALL_MS } })
  show(app)
  signal.addEventListener('abort', () => { for (const { id } of app.missions.list()) app.missions.cancel(id, { by: 'Ctrl-C' }) })
  const followed = FATES.map(async (fate) => await follow(app, shop.url, shop.take(fate), fate.title))
  const outcomes = await Promise.all((await Promise.all(followed)).map(async ({ done }) => await done))
  await app.close()
  await shop.close()
  console.log(`${outcomes.length} orders: ${outcomes.map(({ status }) => status).join(', ')}`)
  return 0
})
