// Receives the webhooks of GitHub and shows workflow runs, jobs, checks, deployments and merge groups as missions.
//
// It needs only Fastify and this package:
//
//   npm run build:examples && GITHUB_WEBHOOK_SECRET=... node .examples/github-webhooks.js
//
// The service listens on 127.0.0.1; set PORT for a port other than 3000. Let a proxy or tunnel forward to it, and
// create a webhook with the content type application/json for https://YOUR-HOST/hooks/github. Deliveries may be
// repeated, late and in any order. github/mapping.ts maps each event to reports.
import { once } from 'node:events'
import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import { interruption, readWholeNumber, runProgram } from './flags.js'
import { githubHook } from './github/hook.js'

const HOUR_MS = 3_600_000
/** GitHub sends nothing while a job runs, which takes up to 6 hours on its own runners. */
const STALL_MS = 6 * HOUR_MS
/** Deliveries can be repeated by hand for 3 days. */
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
    // The work continues at GitHub after a shutdown, so there is no end to wait for.
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
