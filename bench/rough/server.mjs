// The service behind the rough network, in its own process: missions start and end all the time until the order `stop`,
// which returns the end of each mission.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import missionControl from '../../dist/lib/index.js'

const settings = JSON.parse(process.argv[2])
const ENDS = [
  (mission) => mission.complete(),
  (mission) => mission.complete(),
  (mission) => mission.fail('broken'),
  (mission) => mission.report('cancelled')
]

const app = Fastify()
await app.register(missionControl, {
  // Frequent heartbeats, so that a fault is detected within seconds, and a message log too short for some clients.
  websocket: { heartbeatMs: 2_000, history: { maxMessages: settings.maxMessages }, maxConnectionsPerSecond: 10_000 },
  missions: { maxEnded: 10 }
})
const endings = []
app.missions.on('mission_ended', ({ id, status }) => { endings.push([id, status]) })
await app.listen({ port: 0, host: '127.0.0.1' })

let isRunning = false
const living = new Set()

async function live (mission) {
  const pause = () => sleep(Math.random() * settings.lifeMs / 5)
  await pause()
  mission.planned({ steps: 3 })
  await pause()
  mission.executionStarted()
  for (let index = 1; index <= 3; index++) {
    await pause()
    mission.progress({ taskId: `step ${index}`, index, total: 3, status: 'done' })
  }
  ENDS[Math.floor(Math.random() * ENDS.length)](mission)
}

async function begin () {
  // eslint-disable-next-line no-unmodified-loop-condition -- changed by an order of the parent
  for (let started = 0; isRunning; started++) {
    const life = live(app.missions.start({ id: `m${started}`, name: 'job' }))
    living.add(life)
    life.finally(() => living.delete(life))
    await sleep(1_000 / settings.missionsPerSecond)
  }
}

const orders = {
  begin () {
    isRunning = true
    begin()
    return {}
  },
  async stop () {
    isRunning = false
    await Promise.all(living)
    // Wait until the last progress is sent.
    await sleep(500)
    const { body } = await app.missionControl.metrics.render()
    const read = (name) => Number(body.match(new RegExp(`^mission_control_ws_${name} (.+)$`, 'm'))[1])
    return {
      endings,
      connections: app.missionControl.wsMetrics().connectionsTotal,
      resumed: read('subscription_outcomes_total{outcome="resumed"}'),
      trimmed: read('gaps_total{cause="trimmed"}'),
      lagged: read('lagged_total')
    }
  }
}

process.on('message', async ({ order }) => process.send(await orders[order]()))
process.send({ port: app.server.address().port })
await once(process, 'disconnect')
process.exit(0)
