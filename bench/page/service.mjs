import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import Fastify from 'fastify'

const NAMES = ['import customers', 'render invoice', 'research competitors', 'nightly digest', 'sync warehouse']
const TASKS = 1_000_000

/** A service with missions that report progress, end and begin again. */
export async function startService () {
  const { default: missionControl } = await import(pathToFileURL(resolve('dist/lib/index.js')).href)
  const app = Fastify({ forceCloseConnections: true })
  await app.register(missionControl, { missions: { maxActive: 20_000, maxEnded: 5_000, closeGraceMs: 1 } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const active = []
  let started = 0
  const start = () => {
    const mission = app.missions.start({ name: NAMES[started++ % NAMES.length], tags: [`team:${started % 7}`, 'eu-west'] })
    mission.executionStarted()
    active.push(mission)
    return mission
  }
  const fill = (counts) => {
    for (let i = 0; i < counts.ended; i++) {
      const mission = start()
      active.pop()
      if (i % 11 === 3) mission.fail(new Error(`429 rate limit of model ${i}`))
      else mission.complete()
    }
    while (active.length < counts.active) start()
  }
  /** Sends updates at a steady rate; one in twenty ends a mission and starts another. Returns a function that stops it. */
  const report = (updatesPerSecond) => {
    let sent = 0
    const startedAt = performance.now()
    const timer = setInterval(() => {
      const due = Math.floor((performance.now() - startedAt) / 1_000 * updatesPerSecond)
      for (; sent < due; sent++) {
        const at = sent * 7_919 % active.length
        if (sent % 20 === 0) {
          active[at].complete()
          active[at] = start()
          active.pop()
        } else active[at].progress({ taskId: `step ${sent % 90}`, index: sent, total: TASKS, status: 'running' })
      }
    }, 10)
    return () => {
      clearInterval(timer)
      return sent
    }
  }
  const { port } = app.server.address()
  return { url: `http://127.0.0.1:${port}/mission-control/`, fill, report, close: async () => await app.close() }
}
