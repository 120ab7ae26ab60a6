import assert from 'node:assert/strict'
import fastify from 'fastify'
import missionControl, { createVirtualClock } from 'fastify-mission-control'
import { createMemoryBackplane } from 'fastify-mission-control/backplane'
import { redisBackplane } from 'fastify-mission-control/redis'
import { connectReporter } from 'fastify-mission-control/reporter'

const backplane = createMemoryBackplane()
const app = fastify()
await app.register(missionControl, { backplane })
await app.ready()
const { missions, close } = await connectReporter({ backplane, service: { name: 'importer' } })
const mission = missions.spawn({ id: 'import', name: 'import' }, async ({ signal }) => {
  await new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
})
const changes = app.missions.subscribe({ id: 'import' })
if (app.missions.get('import') === undefined) await changes.next()
assert.equal(app.missions.cancel('import'), 'requested')
assert.equal((await mission.settled()).status, 'cancelled')
assert.equal((await app.missions.waitFor('import')).status, 'cancelled')
await close()
await app.close()

// No Redis client is installed here.
const context = { clock: createVirtualClock(), onMessage () {}, onWarning () {} }
const log = redisBackplane({ client: 'redis://127.0.0.1:6379', namespace: 'smoke' }).connect(context)
await assert.rejects(log.join({ id: 'one', service: 'smoke' }), { code: 'FST_MC_INVALID_OPTION' })
await log.close()
console.log('worker: a service has cancelled the mission of a worker; Redis needs a client')
