import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import missionControl from '../../dist/lib/index.js'

const NAMES = ['import customers', 'render invoices', 'research competitors', 'nightly digest', 'train ranking model', 'sync warehouse']
const TASKS = ['fetch documents', 'parse', 'embed', 'upsert', 'verify']
const TEAMS = ['team:billing', 'team:search', 'team:data']
const MINUTE = 60_000

/** A service as it looks in the middle of a working day: half an hour of endings, and missions in every state. */
export async function startService ({ isAlerting = false } = {}) {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(missionControl, {
    server: { name: 'orders', version: '2.4.1' },
    missions: { stallMs: 6_000, maxEnded: 5_000, closeGraceMs: 1 },
    alerts: { rules: { mission_error_rate: { forMs: 0 }, mission_active: { enabled: false }, missions_stalled: { enabled: false } } },
    dashboard: {
      environment: { label: 'production', color: '#b3261e' },
      links: [{ label: 'Runbook', href: 'https://wiki.example.com' }],
      missionLink: 'https://traces.example.com/{id}'
    }
  })
  app.missions.handle({ cancel: {}, start: { start: (name) => app.missions.start({ name }) } })
  app.monitoring.addHealthCheck({ name: 'database', run: async () => {} })
  app.monitoring.addHealthCheck({ name: 'warehouse', run: async () => {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  end(app, isAlerting)
  const timers = [run(app), trackOperations(app)]
  const { port } = app.server.address()
  return {
    origin: `http://127.0.0.1:${port}`,
    async close () {
      for (const timer of timers) clearInterval(timer)
      await app.close()
    }
  }
}

// A sequence without a pattern that an eye would find, and the same in each run.
const noise = (k) => (Math.sin(k * 12.9898) * 43_758.5453 % 1 + 1) % 1

const describe = (k, startedAt) => ({
  id: `${(k * 2_654_435_761 >>> 0).toString(16).padStart(8, '0')}-${(k * 40_503 % 65_536).toString(16).padStart(4, '0')}`,
  name: NAMES[Math.floor(noise(k) * NAMES.length)],
  tags: [TEAMS[k % TEAMS.length], 'eu-west'],
  objective: 'Bring everything up to date',
  metadata: { batch: 1_000 + k, source: 's3://orders/2026-11-27' },
  startedAt
})

const ERRORS = [
  { message: '429: the model has too many requests', code: 'RATE_LIMITED' },
  { message: 'connect ECONNREFUSED 10.0.0.7:5432', code: 'ECONNREFUSED' }
]

function end (app, isAlerting) {
  for (let k = 0; k < 420; k++) {
    const ago = 70_000 + noise(k + 1_000) ** 1.2 * 29 * MINUTE
    const took = 2_000 + noise(k + 2_000) ** 3 * 90_000
    const endedAt = Date.now() - ago
    const { id, ...init } = describe(k, endedAt - took)
    const isBad = noise(k + 3_000) < (isAlerting && ago < 5 * MINUTE ? 0.9 : 0.05)
    const { message, code } = ERRORS[k % 3 === 0 ? 0 : 1]
    if (isBad) app.missions.report(id, 'error', { ...init, endedAt, error: Object.assign(new Error(message), { code }) })
    else if (noise(k + 4_000) < 0.03) app.missions.report(id, 'cancelled', { ...init, endedAt, cancel: { kind: 'request', reason: 'Superseded by a newer run', by: 'scheduler' } })
    else app.missions.report(id, 'completed', { ...init, endedAt })
  }
}

/** Missions that run now. The first stalls, the third waits, the fourth has a child. */
function run (app) {
  const missions = Array.from({ length: 9 }, (_, index) => {
    const mission = app.missions.start(describe(500 + index, Date.now() - 3_000 - index * 6_000))
    const total = 5 + index % 4
    mission.planned({ plan: { steps: TASKS.map((task) => ({ task, retries: 2 })) } })
    mission.executionStarted()
    return { mission, total, index: index % 3, speed: 2 + index % 3 }
  })
  const child = missions[3].mission.child({ name: 'index shard 3', tags: ['team:search', 'eu-west'] })
  child.executionStarted()
  missions[2].mission.waiting('a free slot of the model')
  let tick = 0
  return setInterval(() => {
    for (const one of [missions[1], ...missions.slice(3)]) {
      const taskId = TASKS[one.index % TASKS.length]
      if (tick % one.speed !== 0 || one.index >= one.total - 1) {
        one.mission.progress({ taskId, index: one.index + 1, total: one.total, status: 'running' })
        continue
      }
      one.mission.progress({ taskId, index: one.index + 1, total: one.total, status: 'completed' })
      one.index++
      if (one.index < one.total) one.mission.progress({ taskId: TASKS[one.index % TASKS.length], index: one.index + 1, total: one.total, status: 'running' })
    }
    child.progress({ taskId: 'write segments', index: 2, total: 3, status: 'running' })
    tick++
  }, 1_300)
}

const trackOperations = (app) => setInterval(() => {
  app.monitoring.time('model', 'complete', () => sleep(20 + noise(Date.now()) ** 4 * 300)).catch(() => {})
}, 50)
