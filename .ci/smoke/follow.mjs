import assert from 'node:assert/strict'
import fastify from 'fastify'
import missionControl from 'fastify-mission-control'
import { connect } from 'fastify-mission-control/client'
import { WebSocket } from 'ws'

const app = fastify()
await app.register(missionControl)
await app.listen({ port: 0, host: '127.0.0.1' })
const client = connect(`http://127.0.0.1:${app.server.address().port}/ws/mission-control`, { WebSocket })
await client.ready
const mission = app.missions.start({ name: 'nightly report' })
mission.complete()
assert.equal((await client.waitFor(mission.id)).status, 'completed')
client.close()
await app.close()
console.log('client: followed a mission to its end')
