// Follows GitHub Actions, checks, deployments and merge queues through webhooks.
//
// It needs Fastify and this package only:
//
//   npm run build:examples && GITHUB_WEBHOOK_SECRET=... node .examples/github-webhooks.js
//
// Point a webhook of the content type application/json at http://YOUR-HOST:3000/hooks/github (set PORT for another
// port). Deliveries may be repeated, late and in any order; github/mapping.ts has the calls that each event leads to.
import { once } from 'node:events'
import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import { interruption, readWholeNumber, runProgram } from './flags.js'
import { githubHook } from './github/hook.js'

const HOUR_MS = 3_600_000
/** GitHub is silent while a job runs, for up to 6 hours on its own runners. */
const STALL_MS = 6 * HOUR_MS
/** For 3 days, deliveries can be repeated by hand. */
const REDELIVERY_MS = 72 * HOUR_MS

await runProgram('Usage: node .examples/github-webhooks.js', async () => {
  const signal = interruption()
  const port = readWholeNumber('PORT', process.env['PORT'] ?? '3000', 0, 65_535)
  const secret = process.env['GITHUB_WEBHOOK_SECRET'] || undefined
  if (secret === undefined) console.error('GITHUB_WEBHOOK_SECRET is not set: everybody can report')
  const app = Fastify()
  await app.register(missionControl, {
    server: { name: 'github', version: '1.0.0' },
    routes: { missions: '/missions' },
    websocket: { history: { maxAgeMs: REDELIVERY_MS } },
    // Nobody here can end the missions at a shutdown: their work goes on.
    missions: { stallMs: STALL_MS, closeGraceMs: 1 }
  })
  await app.register(githubHook, { secret })
  app.missions.on('mission_update', ({ missionId, name, status, attempt = 1 }) => {
    console.log(`${missionId} ${status} ${name}, attempt ${attempt}`)
  })
  console.log(await app.listen({ host: '127.0.0.1', port }))
  if (!signal.aborted) await once(signal, 'abort')
  await app.close()
  return 0
})
