import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { messageOf, runOf, startOf, stepOf } from '../lib/backplane/conformance/steps.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { openRedis, type LogUser, type RedisStand } from './support/redis-log.js'
import { redisServer, startRedisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

const withRedis = onlyWith(redisServer)
const AWAY = { code: 'FST_MC_BACKPLANE_AWAY' }
const APPLIED = ['applied']

const tick = async () => await new Promise((resolve) => setImmediate(resolve))

/** Repeats a call until it resolves, as the outbox of a process does. */
async function persist<T> (call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch {
      await tick()
    }
  }
}

/** Reads until something other than an empty list comes. */
async function readOn (user: LogUser) {
  for (;;) {
    const found = await persist(async () => await user.read(100))
    if (found.length > 0) return found
  }
}

const sequencesOf = (entries: Awaited<ReturnType<LogUser['read']>>) => typeof entries === 'string' ? entries : entries.map(({ sequence }) => sequence)

/** Whether the sequences that a new process finds are contiguous from 1. */
async function demandContiguous (t: Test, stand: RedisStand, count: number) {
  const late = await persist(async () => await stand.open())
  t.equal(late.position.sequence, count)
  late.position = { ...late.position, sequence: 0, token: '' }
  t.strictSame(sequencesOf(await late.read()), Array.from({ length: count }, (_, at) => at + 1))
}

t.test('when Redis is killed and comes back with its data, everything goes on', withRedis, async (t) => {
  const stand = await openRedis(t, '--appendonly', 'yes', '--appendfsync', 'always')
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(runOf('m'))
  const reading = b.log.read(a.position, 60_000).then(() => b.log.read({ ...a.position, sequence: 1 }, 60_000))
  const rejected = t.rejects(b.log.read({ ...b.position }, 60_000).then(async () => await reading), undefined, 'the read that waits')
  await stand.server.kill()
  await rejected
  await t.rejects(a.append(stepOf('m', 'execution_progress')))
  await stand.server.start()
  t.strictSame(await persist(async () => await a.appendAgain(stepOf('m', 'execution_progress'))), APPLIED)
  t.strictSame(sequencesOf(await readOn(b)), [1, 2])
  t.match(await persist(async () => await b.log.renew(b.position)), { outcome: 'renewed', alive: [{ id: a.instance.id }, { id: b.instance.id }] })
  await persist(async () => await a.log.send(b.instance.id, 'hello'))
  await demandContiguous(t, stand, 2)
})
