import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { messageOf, runOf, startOf, stepOf } from '../lib/backplane/conformance/steps.js'
import type { RedisClientLike } from '../lib/backplane/redis/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { openRedis, type LogUser, type RedisStand } from './support/redis-log.js'
import { redisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

const withRedis = onlyWith(redisServer)
const AWAY = { code: 'FST_MC_BACKPLANE_AWAY' }
const APPLIED = ['applied']

const progressOf = (id: string) => stepOf(id, 'execution_progress')

/** Calls until it resolves, as a process does while Redis is away. */
async function persist<T> (call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** Reads until there is something. */
async function readOn (user: LogUser) {
  for (;;) {
    const found = await persist(async () => await user.read(100))
    if (found.length > 0) return typeof found === 'string' ? found : found.map(({ sequence }) => sequence)
  }
}

/** A process that joins now finds so many entries, and all of them once. */
async function demandEntries (t: Test, stand: RedisStand, count: number) {
  const late = await stand.open()
  t.equal(late.position.sequence, count)
  late.position = { ...late.position, sequence: 0, token: '' }
  t.strictSame(await readOn(late), Array.from({ length: count }, (_, at) => at + 1))
  await late.log.close()
}

/** Sends until the process receives something: what is sent before it has subscribed again is lost. */
async function demandMessages (t: Test, from: LogUser, to: LogUser) {
  to.messages.length = 0
  while (to.messages.length === 0) await persist(async () => await from.log.send(to.instance.id, 'again'))
  t.equal(to.messages[0], 'again')
}

/** A client whose connections lead to these servers, one after the other, and are put into a list. */
function clientOf (urls: readonly string[], settings: object = {}, opened: Redis[] = []): RedisClientLike {
  const duplicate = (options: object) => {
    const client = new Redis(urls[opened.length % urls.length]!, { ...options, ...settings })
    opened.push(client)
    return client
  }
  return { status: 'ready', call () {}, duplicate } as RedisClientLike
}

t.test('when Redis is killed, everything fails at once, and goes on when it is back with its data', withRedis, async (t) => {
  const stand = await openRedis(t, '--appendonly', 'yes', '--appendfsync', 'always')
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(runOf('m'))
  t.strictSame(await readOn(b), [1])
  const rejected = t.rejects(b.read(60_000), { ...AWAY, message: 'Redis does not answer: the connection was closed' })
  await stand.server.kill()
  await rejected
  const appending = persist(async () => await a.appendAgain(progressOf('m')))
  await t.rejects(a.append(progressOf('m')))
  await stand.server.start()
  t.strictSame(await appending, APPLIED)
  t.strictSame(await readOn(b), [2])
  t.match(await persist(async () => await b.log.renew(b.position)), { outcome: 'renewed', alive: [a.instance, b.instance] })
  await demandMessages(t, a, b)
  await demandEntries(t, stand, 2)
})

t.test('while Redis hangs, calls reject in time and do not pile up; a batch that comes late is not appended twice', withRedis, async (t) => {
  const stand = await openRedis(t)
  const clock = createVirtualClock()
  const [a, b] = [await stand.open({ clock }), await stand.open()]
  await a.append(runOf('m'))
  stand.server.pause()
  for (let tries = 0; tries < 3; tries++) {
    const rejected = t.rejects(tries === 0 ? a.append(progressOf('m')) : a.appendAgain(progressOf('m')), AWAY)
    clock.advance(2_000)
    await rejected
  }
  const reading = t.rejects(a.read(1_000), AWAY, 'a read may take longer by what it waits')
  clock.advance(2_000)
  const renewing = t.rejects(a.log.renew(a.position), AWAY)
  clock.advance(1_000)
  await reading
  clock.advance(1_000)
  await renewing
  stand.server.continue()
  t.strictSame(await persist(async () => await a.appendAgain(progressOf('m'))), APPLIED)
  t.strictSame(await readOn(b), [1, 2])
  t.strictSame(await persist(async () => await a.append(stepOf('m', 'completed'))), APPLIED)
  await demandEntries(t, stand, 3)
  await demandMessages(t, b, a)
})

t.test('after a read that was too slow, the next ones ask for less', withRedis, async (t) => {
  const stand = await openRedis(t)
  const clock = createVirtualClock()
  const [a, b] = [await stand.open(), await stand.open({ clock })]
  for (let at = 0; at < 64; at++) await a.append(startOf(`${at}`))
  const read = async () => {
    const result = await b.log.read(b.position, 0)
    return result.outcome === 'batches' && result.batches.length
  }
  t.equal(await read(), 64)
  stand.server.pause()
  const rejected = t.rejects(read(), AWAY)
  clock.advance(2_000)
  await rejected
  stand.server.continue()
  t.equal(await read(), 16)
  t.equal(await read(), 32)
  t.equal(await read(), 64)
})

t.test('a process that joins while Redis hangs gets through when Redis goes on', withRedis, async (t) => {
  const stand = await openRedis(t)
  const clock = createVirtualClock()
  const opened: Redis[] = []
  const [a, b] = [stand.connect({ clock, client: clientOf([stand.server.url], {}, opened) }), await stand.open()]
  stand.server.pause()
  // Redis accepts connections while it is stopped, and is asked whether it is ready.
  for (let tries = 0; tries < 3; tries++) {
    const rejected = t.rejects(a.join(), AWAY)
    do await new Promise((resolve) => setImmediate(resolve)); while (opened.length === 0 || opened.some(({ status }) => status !== 'connect'))
    clock.advance(2_000)
    await rejected
  }
  stand.server.continue()
  await persist(async () => await a.join())
  t.strictSame(await a.append(startOf('m')), APPLIED)
  await demandMessages(t, b, a)
})

t.test('a read-only server refuses steps, which are appended when it is writable again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const a = await stand.open()
  await a.append(runOf('m'))
  await stand.client.call('REPLICAOF', '127.0.0.1', '1')
  await t.rejects(a.append(progressOf('m')), /READONLY/)
  await stand.client.call('REPLICAOF', 'NO', 'ONE')
  t.strictSame(await persist(async () => await a.appendAgain(progressOf('m'))), APPLIED)
  await demandEntries(t, stand, 2)
})

t.test('a server without memory refuses a whole batch, and accepts it when there is memory again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const a = await stand.open()
  await a.append(runOf('m', { tenant: 'x' }))
  const before = await a.join()
  await stand.client.config('SET', 'maxmemory', 1)
  const steps = [stepOf('m', 'completed', { tenant: 'x', durationMs: 5 }), startOf('n'), messageOf('health_delta', 'h')]
  await t.rejects(a.append(...steps), /OOM/)
  await t.rejects(a.log.renew(a.position), /OOM/)
  t.strictSame(await a.read(), [], 'reading goes on')
  await stand.client.config('SET', 'maxmemory', 0)
  t.strictSame(await a.join(), before)
  t.strictSame(await a.appendAgain(...steps), ['applied', 'applied', 'applied'])
  await demandEntries(t, stand, 4)
})

t.test('connections that Redis closes are opened again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  const rejected = t.rejects(b.read(60_000), AWAY)
  await stand.client.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  await stand.client.client('KILL', 'TYPE', 'pubsub')
  await rejected
  t.strictSame(await persist(async () => await a.append(startOf('m'))), APPLIED)
  t.strictSame(await readOn(b), [1])
  await demandMessages(t, a, b)
})

t.test('a connection that the client has given up is opened again', withRedis, async (t) => {
  const stand = await openRedis(t, '--appendonly', 'yes')
  const clock = createVirtualClock()
  const a = await stand.open({ clock, client: clientOf([stand.server.url], { retryStrategy: null }) })
  await stand.server.kill()
  const rejected = t.rejects(a.append(startOf('m')), AWAY)
  clock.advance(2_000)
  await rejected
  await stand.server.start()
  const appending = a.appendAgain(startOf('m'))
  clock.advance(1_000)
  t.strictSame(await appending, APPLIED)
})

t.test('scripts that Redis has forgotten are sent again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const a = await stand.open()
  for (let round = 0; round < 2; round++) {
    await stand.client.script('FLUSH')
    t.strictSame(await a.append(startOf(`m${round}`)), APPLIED)
    t.match(await a.log.renew(a.position), { outcome: 'renewed' })
    t.equal((await a.ids()).length, round + 1)
  }
  await stand.client.script('FLUSH')
  await stand.client.config('SET', 'maxmemory', 1)
  await t.rejects(a.append(startOf('m')), /OOM/, 'the error of the script itself is not repeated')
})

t.test('after Redis has lost everything, processes go on in a new log', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b, c] = [await stand.open(), await stand.open(), await stand.open()]
  await a.append(runOf('m'))
  t.strictSame(await readOn(b), [1])
  await stand.client.flushall()
  t.equal(await b.read(), 'diverged')
  t.strictSame(await a.append(progressOf('m')), APPLIED, 'a lease is taken again')
  t.equal(await c.read(), 'diverged')
  t.match(await b.log.renew(b.position), { outcome: 'diverged' })
  const { position } = await b.join()
  t.not(position.epoch, a.position.epoch)
  t.equal(position.sequence, 1)
  t.match(await c.log.renew(position), { outcome: 'renewed', alive: [a.instance, b.instance, c.instance] })
})

/** Brings a server back to the data that it had saved. */
async function loseSince (stand: RedisStand, lose: () => Promise<void>) {
  await stand.client.save()
  await lose()
  await stand.server.restart('SIGKILL')
}

t.test('a failover that has lost entries is noticed by every process that has read them', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b, c, d] = [await stand.open(), await stand.open(), await stand.open(), await stand.open()]
  await a.append(runOf('m'))
  for (const user of [b, c, d]) t.strictSame(await readOn(user), [1])
  await loseSince(stand, async () => {
    await a.append(progressOf('m'))
    t.strictSame(await readOn(b), [2])
    t.strictSame(await readOn(d), [2])
  })
  t.equal(await persist(async () => await b.read(60_000)), 'diverged', 'at once, although there is nothing to read')
  t.match(await persist(async () => await b.log.renew(b.position)), { outcome: 'diverged' })
  t.strictSame(await persist(async () => await c.read()), [], 'a process that has read less goes on')
  t.strictSame(await persist(async () => await c.append(progressOf('m'))), APPLIED)
  t.strictSame(await persist(async () => await a.append(stepOf('m', 'completed'))), APPLIED, 'with the number after the one that was lost')
  t.strictSame(await readOn(c), [2, 3])
  t.equal(await persist(async () => await d.read()), 'diverged', 'although the log has gone on beyond its position')
  await b.log.restart(b.position.epoch)
  t.equal(await c.read(), 'diverged')
})

t.test('a failover during a read that waits is noticed when it ends', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(runOf('m'))
  t.strictSame(await readOn(b), [1])
  const reading = b.read(50)
  // The connection stays open, as with a proxy in front of Redis.
  await stand.client.hset(stand.key('meta'), 'sequence', 0, 'token', '')
  t.equal(await reading, 'diverged')
  await stand.client.hset(stand.key('meta'), 'sequence', 1, 'token', 'another')
  t.equal(await b.read(), 'diverged')
})

t.test('a log whose end was deleted is trimmed, and one without an entry in the middle from there on', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b, c] = [await stand.open(), await stand.open(), await stand.open()]
  for (const id of ['k', 'l', 'm']) await a.append(startOf(id))
  await stand.client.xdel(stand.key('log'), '2-0')
  const first = await b.log.read(b.position, 0)
  t.match(first, { outcome: 'batches', batches: [{ after: 0 }] })
  t.equal(first.outcome === 'batches' && first.batches.length, 1)
  b.position = { ...b.position, sequence: 1, token: first.outcome === 'batches' ? first.batches[0]!.token : '' }
  t.equal(await b.read(), 'trimmed')
  await stand.client.del(stand.key('log'))
  t.equal(await c.read(), 'trimmed')
  await c.join()
  t.strictSame(await a.append(progressOf('m')), APPLIED)
  t.strictSame(await readOn(c), [4])
})

t.test('a reader whose server is no longer the one that others write to connects again', withRedis, async (t) => {
  const [stand, stale] = [await openRedis(t), await openRedis(t)]
  await (await stand.open()).append(startOf('m'))
  await stand.client.save()
  await stale.server.kill()
  await copyFile(join(stand.server.folder, 'dump.rdb'), join(stale.server.folder, 'dump.rdb'))
  await stale.server.start()
  const [writes, reads] = [stand.server.url, stale.server.url]
  const user = await stand.open({ client: clientOf([writes, reads, writes]) })
  const opened = async () => Number(/total_connections_received:(\d+)/.exec(await stale.client.info('stats'))![1])
  t.strictSame(await user.read(), [])
  await user.append(progressOf('m'))
  for (let tries = 0; tries < 2; tries++) {
    const before = await opened()
    await t.rejects(user.read(), { ...AWAY, message: 'Redis does not answer: the server is behind another one' })
    while (await opened() === before) await new Promise((resolve) => setImmediate(resolve))
  }
})

t.test('a callback of the host that throws is reported', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const failure = new Error('the host is broken')
  user.messages.push = () => { throw failure }
  await user.log.send(undefined, 'text')
  while (user.warnings.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(user.warnings, [failure])
})

t.test('of the errors of a connection, the first one is reported until it is open again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const opened: Redis[] = []
  const user = await stand.open({ client: clientOf([stand.server.url], {}, opened) })
  for (const message of ['first', 'second', 'third']) opened[0]!.emit('error', new Error(message))
  t.strictSame(user.warnings.map(({ message }) => message), ['first'])
})

t.test('a message that arrives while the log is closed is not passed on', withRedis, async (t) => {
  const stand = await openRedis(t)
  const opened: Redis[] = []
  const user = await stand.open({ client: clientOf([stand.server.url], {}, opened) })
  await user.log.close()
  for (const client of opened) client.emit('message', 'channel', 'late')
  t.strictSame(user.messages, [])
})
