const assert = require('node:assert/strict')
const missionControl = require('fastify-mission-control')
const { createVirtualClock, errors, missionControl: named } = missionControl
const { CHANNEL_NAMES } = require('fastify-mission-control/schemas')
const { license } = require('fastify-mission-control/package.json')
const whoami = require('./whoami.cjs')

// Fastify also accepts a namespace object with the plugin, but other code that calls require() does not.
assert.equal(typeof missionControl, 'function')
assert.equal(named, missionControl)
assert.deepEqual([typeof createVirtualClock, typeof errors.Closing], ['function', 'function'])
whoami(missionControl).then(({ payload, replyTo }) => {
  assert.deepEqual([payload.server, payload.version], ['smoke', '1.2.3'])
  assert.deepEqual(payload.channels, CHANNEL_NAMES)
  assert.equal(replyTo, '1')
  assert.equal(license, 'MIT')
  console.log('require: whoami answered')
})
