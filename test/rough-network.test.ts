import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import t from 'tap'
import { Program, spawnNode } from './support/run-example.js'
import { root } from './support/sources.js'

/** How long the network is bad; the counts below are reached within 10 s. */
const SECONDS = process.env['ROUGH_NETWORK_SECONDS'] ?? '10'
const FLAGS = ['--seconds', SECONDS, '--clients', '200', '--disturb-ms', '2000', '--json']
const TIMEOUT_MS = 180_000 + Number(SECONDS) * 1_000

const title = '200 clients behind a network that cuts, stalls, half closes and discards receive every end of a mission once'
t.test(title, { timeout: TIMEOUT_MS }, async (t) => {
  if (!existsSync(resolve(root, 'dist/lib/client/index.js'))) throw new Error('there is no dist; npm run build creates it')
  const program = new Program(spawnNode(['bench/rough-network.mjs', ...FLAGS]))
  t.teardown(() => program.signal('SIGKILL'))
  const { code, stdout, stderr } = await program.ended
  t.equal(stderr, '')
  t.equal(code, 0)
  const { due, faults, resumed, trimmed, lost, twice, wrong, wrongOrder, stillActive, notOpen } = JSON.parse(stdout)
  t.ok(due > 10_000, `${due} ends were due`)
  for (const [fault, times] of Object.entries(faults)) t.ok(times as number >= 20, `${fault}: ${times} times`)
  t.ok(resumed >= 50, `${resumed} times a client reconnected and received the messages it had missed`)
  t.ok(trimmed >= 10, `${trimmed} times the message log no longer had all of them`)
  t.strictSame({ lost, twice, wrong, wrongOrder, stillActive, notOpen }, { lost: 0, twice: 0, wrong: 0, wrongOrder: 0, stillActive: 0, notOpen: 0 })
})
