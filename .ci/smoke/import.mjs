import assert from 'node:assert/strict'
import missionControl from 'fastify-mission-control'
import { CHANNEL_NAMES, CLIENT_MESSAGES } from 'fastify-mission-control/schemas'
import whoami from './whoami.cjs'

const { payload, replyTo } = await whoami(missionControl)
assert.deepEqual([payload.server, payload.version], ['smoke', '1.2.3'])
assert.deepEqual(payload.channels, CHANNEL_NAMES)
assert.equal(replyTo, '1')
assert.ok(CLIENT_MESSAGES.whoami)
console.log('import: whoami answered')
