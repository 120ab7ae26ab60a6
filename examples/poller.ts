// Follows work in another system that has to be polled, with setTimeout.
//
// It needs Fastify and this package only. The other system is a simulated print shop (poller/print-shop.ts):
//
//   npm run build:examples && node .examples/poller.js
//
// There are four orders: one succeeds, one waits for its turn, one fails, and one hangs. The run takes a few seconds.
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
  { title: 'catalogue', pages: 30, hangsAt: 10 }
]

/** Follows one order as a mission until the mission has ended. */
async function follow (app: FastifyInstance, shopUrl: string, id: string, title: string): Promise<Mission> {
  const url = `${shopUrl}/orders/${id}`
  const mission = app.missions.start({ id, name: title, timeoutMs: TIMEOUT_MS })
  // A cancel is forwarded to the shop; the mission ends when the shop confirms it.
  mission.signal.addEventListener('abort', () => {
    withdraw(url, mission).catch((err: unknown) => mission.fail(err))
  }, { once: true })
  while (!mission.isTerminal) {
    try {
      report(mission, await readOrder(url))
    } catch (err) {
      // The state of the order is unknown. If the failures continue, the mission becomes stalled.
      console.error(`${title}: ${(err as Error).message}`)
    }
    await sleep(POLL_MS)
  }
  return mission
}

/** Reports the state of the order. A response alone does not count as activity of the order. */
function report (mission: Mission, { state, printed, pages, failure }: Order): void {
  if (state === 'queued') mission.waiting('for its turn')
  if (state === 'warming_up') mission.heartbeat()
  if (printed > (mission.view().progress?.index ?? 0)) {
    mission.progress({ taskId: 'pages', index: printed, total: pages, status: state })
  }
  if (state === 'failed') mission.fail({ code: failure, message: `printing failed after ${printed} of ${pages} pages` })
  if (state === 'printed') mission.complete()
  if (state === 'withdrawn') mission.cancelled()
}

async function readOrder (url: string): Promise<Order> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`the shop responded with ${response.status}`)
  return await response.json() as Order
}

async function withdraw (url: string, mission: Mission): Promise<void> {
  const response = await fetch(url, { method: 'DELETE' })
  report(mission, await response.json() as Order)
}

/** Prints each update that differs from the previous one of the mission. */
function show (app: FastifyInstance): void {
  const last = new Map<string, string>()
  app.missions.on('mission_update', ({ missionId, name, status, waiting, stalled, cancel, errorCode }) => {
    const cancelled = cancel && `${cancel.kind}${cancel.forced === true ? ', forced' : ''}`
    const waits = waiting === undefined ? undefined : `waiting ${waiting}`
    const details = errorCode ?? cancelled ?? waits ?? (stalled === true ? 'stalled' : '')
    const line = `${name} ${status} ${details}`.trim()
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
  signal.addEventListener('abort', () => {
    for (const { id } of app.missions.list().missions) app.missions.cancel(id, { by: 'Ctrl-C' })
  })
  const followed = FATES.map(async (fate) => await follow(app, shop.url, shop.take(fate), fate.title))
  const outcomes = await Promise.all((await Promise.all(followed)).map(async ({ done }) => await done))
  await app.close()
  await shop.close()
  console.log(`${outcomes.length} orders: ${outcomes.map(({ status }) => status).join(', ')}`)
  return 0
})
