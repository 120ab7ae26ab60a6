import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Program } from './support/run-example.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')

t.test('200 clients behind a network that cuts, stalls, half closes and swallows are each told every ending once', { timeout: 180_000 }, async (t) => {
  if (!existsSync(resolve(root, 'dist/lib/client/index.js'))) throw new Error('there is no dist; npm run build makes it')
  const program = new Program(spawn(process.execPath, ['bench/rough-network.mjs', '--seconds', '20', '--clients', '200', '--json'], { cwd: root }))
  t.teardown(() => program.signal('SIGKILL'))
  const { code, stdout, stderr } = await program.ended
  t.equal(stderr, '')
  t.equal(code, 0)
  const { clients, due, faults, resumed, lost, twice, wrong, wrongOrder, stillActive, notOpen } = JSON.parse(stdout)
  t.ok(due > 10_000, `${due} endings were due`)
  for (const [fault, times] of Object.entries(faults)) t.ok(times as number > 0, `${fault}: ${times} times`)
  t.ok(resumed > clients, `${resumed} times a client came back and was given what it missed`)
  t.strictSame({ lost, twice, wrong, wrongOrder, stillActive, notOpen }, { lost: 0, twice: 0, wrong: 0, wrongOrder: 0, stillActive: 0, notOpen: 0 })
})
