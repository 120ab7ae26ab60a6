import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import fastify from 'fastify'
import missionControl from 'fastify-mission-control'

const app = fastify()
// Each connection is a user of its own, with a limit of starts of its own.
const access = { identify: ({ id }) => ({ id }) }
await app.register(missionControl, { access, websocket: { heartbeatMs: 500 } })
app.missions.handle({
  start: { start: () => app.missions.spawn('smoke', async (mission) => await mission.task('one', async () => await setTimeout(200))) },
  cancel: {}
})
await app.listen({ port: 0, host: '127.0.0.1' })
const address = `ws://127.0.0.1:${app.server.address().port}/ws/mission-control`
const { stdout } = await promisify(execFile)('npx', ['--no-install', 'fastify-mission-control-conformance', '--start', 'go', address])
assert.match(stdout, /passed, 0 failed, 0 skipped\n$/)
await app.close()
console.log(`conformance: ${stdout.trim().split('\n').at(-1)}`)
