import { once } from 'node:events'
import { join } from 'node:path'
import { Cluster, Redis } from 'ioredis'
import { Redis as Valkey } from 'iovalkey'
import t, { type Test } from 'tap'
import { backplaneConformance } from '../lib/backplane/index.js'
import { messageOf, runOf, startOf, stepOf } from '../lib/backplane/conformance/steps.js'
import { systemClock } from '../lib/base/clock.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { CLIENT_MODULES, findClients } from '../lib/backplane/redis/client/source.js'
import { redisBackplane, type RedisBackplaneOptions } from '../lib/backplane/redis/index.js'
import { LogUser, openRedis, quickBackplane, type RedisStand } from './support/redis-log.js'
import { freePort, redisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

const withRedis = onlyWith(redisServer)

/** Two processes with this client see the steps and the messages of each other, and the missions. */
async function demandShared (t: Test, client: RedisBackplaneOptions['client'], namespace = 'clients') {
  const backplane = redisBackplane({ client, namespace })
  const users = ['a', 'b'].map((id) => new LogUser(backplane, id, systemClock))
  for (const user of users) t.teardown(async () => await user.log.close())
  const [a, b] = users as [LogUser, LogUser]
  await a.join()
  await b.join()
  const reading = b.read(5_000)
  t.strictSame(await a.append(startOf('m'), messageOf('health_delta', 'h', { tenant: 'x' })), ['applied', 'applied'])
  t.strictSame((await reading as unknown[]).length, 2)
  t.strictSame(await b.ids(), ['m'])
  t.equal((await b.log.history()).length, 1)
  await a.log.send('b', 'to b')
  await a.log.send(undefined, 'to all')
  await b.log.send('a', 'to a')
  for (const user of users) while (user.messages.length < 2) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(users.map(({ messages }) => messages), [['to all', 'to a'], ['to b', 'to all']])
  t.match(await b.log.renew(b.position), { outcome: 'renewed', alive: [{ id: 'a' }, { id: 'b' }], fenced: [] })
  await a.log.leave()
  t.match(await b.log.renew(b.position), { outcome: 'renewed', alive: [{ id: 'b' }], fenced: ['a'] })
  t.strictSame(users.flatMap(({ warnings }) => warnings), [])
  for (const user of users) await user.log.close()
}

const clientsOf = async ({ client }: RedisStand) => (await client.client('LIST') as string).split('\n').filter((line) => line.startsWith('id=')).length

t.test('the Redis backplane keeps the contract', withRedis, async (t) => {
  const { server } = await openRedis(t)
  let count = 0
  const checks = backplaneConformance({
    createBackplane: () => quickBackplane({ client: server.url, namespace: `contract-${++count}` }, 1_000),
    trimmedAfter: 8_192
  })
  for (const { title, run } of checks) await t.resolves(run(), title)
})

t.test('processes share a log through a URL of a port', withRedis, async (t) => {
  const { server } = await openRedis(t)
  await demandShared(t, server.url)
})

t.test('processes share a log through a URL of a Unix socket', withRedis, async (t) => {
  const stand = await openRedis(t)
  const path = join(stand.server.folder, 'redis.sock')
  await stand.server.kill()
  await stand.server.start('--unixsocket', path)
  await demandShared(t, `unix://${path}`)
})

for (const [name, Client] of [['ioredis', Redis], ['iovalkey', Valkey]] as const) {
  t.test(`processes share a log through a client of ${name}, which is left as it is`, withRedis, async (t) => {
    const stand = await openRedis(t)
    const client = new Client(stand.server.url, { keyPrefix: 'prefix:', stringNumbers: true, commandTimeout: 100, enableAutoPipelining: true })
    await client.set('mine', 1)
    const options = { ...client.options }
    const clients = await clientsOf(stand)
    await demandShared(t, client)
    t.strictSame(client.options, options)
    t.equal(await client.get('mine'), '1', 'the client is not closed')
    while (await clientsOf(stand) > clients) await new Promise((resolve) => setImmediate(resolve))
    const keys = await stand.client.keys('*')
    t.strictSame(keys.filter((key) => !key.startsWith('prefix:')), [], 'all keys have the prefix of the client')
    client.disconnect()
  })
}

t.test('processes share a log through a client of a cluster', withRedis, async (t) => {
  const stand = await openRedis(t, '--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
  await stand.client.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
  while (!(await stand.client.call('CLUSTER', 'INFO') as string).includes('cluster_state:ok')) await new Promise((resolve) => setImmediate(resolve))
  const cluster = new Cluster([{ host: '127.0.0.1', port: stand.server.port }], { redisOptions: { connectionName: 'mine' } })
  t.teardown(() => { cluster.disconnect() })
  await once(cluster, 'ready')
  await demandShared(t, cluster)
  t.equal(cluster.status, 'ready')
})

t.test('nothing is connected before a process joins', withRedis, async (t) => {
  const stand = await openRedis(t)
  const clients = await clientsOf(stand)
  const user = stand.connect()
  await t.rejects(user.log.read(user.position, 0), { code: 'FST_MC_CLOSING' })
  await t.rejects(user.log.append({ number: 1, steps: [] }), { code: 'FST_MC_CLOSING' })
  t.equal(await clientsOf(stand), clients)
  await Promise.all([user.join(), user.join()])
  t.equal(await clientsOf(stand), clients + 3)
})

t.test('a URL is opened by the first package that is installed', async (t) => {
  class Client { constructor (readonly url: string, readonly options: object) {} }
  const missing = async () => await Promise.reject(new Error('Cannot find package'))
  const found = await findClients('redis://host', [missing, async () => ({ default: { default: Client } })])
  t.match(found(), { url: 'redis://host', options: { lazyConnect: true, enableOfflineQueue: false } })
  t.match((await findClients('redis://host', [async () => ({ default: Client })]))(), { url: 'redis://host' })
  const message = /the option client is a URL, for which ioredis or iovalkey must be installed/
  for (const module of CLIENT_MODULES) t.type((await findClients('redis://host', [module]))(), 'object')
  await t.rejects(findClients('redis://host', [missing, missing]), { code: 'FST_MC_INVALID_OPTION', message })
})

t.test('an unknown or wrong option is refused with its bounds', async (t) => {
  const client = 'redis://127.0.0.1:1'
  const cases: Array<[unknown, RegExp]> = [
    [undefined, /the options must be an object/],
    [null, /the options must be an object/],
    [{}, /client must be a client of ioredis or iovalkey, or a redis:\/\/, rediss:\/\/ or unix:\/\/ URL/],
    [{ client: {} }, /client must be a client/],
    [{ client: { duplicate () {}, sendCommand () {} } }, /client must be a client/],
    [{ client: 'localhost:6379' }, /client is a string, but not a redis:\/\//],
    [{ client: 'http://localhost' }, /client is a string, but not a redis:\/\//],
    [{ client, prefix: 'x' }, /prefix is not an option; the options are client, namespace, leaseMs/],
    [{ client, namespace: '' }, /namespace must be a string of 1 to 64 characters without spaces and braces/],
    [{ client, namespace: 'a b' }, /namespace must be/],
    [{ client, namespace: 'a{b}' }, /namespace must be/],
    [{ client, namespace: 'x'.repeat(65) }, /namespace must be/],
    [{ client, namespace: 1 }, /namespace must be/],
    [{ client, leaseMs: 2_999 }, /leaseMs must be a whole number from 3000 to 300000/],
    [{ client, leaseMs: 300_001 }, /leaseMs must be/],
    [{ client, leaseMs: 3_000.5 }, /leaseMs must be/],
    [{ client, leaseMs: '15000' }, /leaseMs must be/]
  ]
  for (const [options, message] of cases) t.throws(() => redisBackplane(options as RedisBackplaneOptions), { code: 'FST_MC_INVALID_OPTION', message })
  t.equal(redisBackplane({ client }).leaseMs, 15_000)
  t.equal(redisBackplane({ client, leaseMs: 3_000, namespace: 'x' }).leaseMs, 3_000)
  t.equal(redisBackplane({ client, leaseMs: undefined as never }).leaseMs, 15_000)
})

t.test('namespaces are separate', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open({ namespace: 'a' }), await stand.open({ namespace: 'b' })]
  await a.append(runOf('m'))
  await a.log.send(undefined, 'to all of a')
  t.strictSame(await b.read(), [])
  t.strictSame(await b.ids(), [])
  t.strictSame(await b.append(stepOf('m', 'planned')), ['applied'])
  t.strictSame(b.messages, [])
})

t.test('databases of a server are separate', withRedis, async (t) => {
  const { server } = await openRedis(t)
  const backplanes = ['/1', '/2'].map((path) => redisBackplane({ client: server.url + path }))
  const users = backplanes.flatMap((backplane) => ['a', 'b'].map((id) => new LogUser(backplane, id, systemClock)))
  for (const user of users) t.teardown(async () => await user.log.close())
  for (const user of users) await user.join()
  const [a1, b1, a2, b2] = users as [LogUser, LogUser, LogUser, LogUser]
  await a1.append(startOf('m'))
  t.strictSame(await a2.ids(), [])
  await a1.log.send(undefined, 'to all of the first')
  await a1.log.send('b', 'to one of the first')
  await a2.log.send('b', 'to one of the second')
  while (b1.messages.length < 2 || b2.messages.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(b1.messages, ['to all of the first', 'to one of the first'])
  t.strictSame(b2.messages, ['to one of the second'])
})

t.test('a process that takes another identity receives its messages, and no others', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await b.log.join({ id: 'another', service: 's' })
  await a.log.send(b.instance.id, 'to the former identity')
  await a.log.send('another', 'to the present one')
  while (b.messages.length === 0) await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(b.messages, ['to the present one'])
})

t.test('a batch of many steps is read as one, wherever a page of the log ends', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  for (let at = 0; at < 63; at++) await a.append(startOf(`${at}`))
  await a.append(...Array.from({ length: 5_000 }, (_, at) => startOf(`of many ${at}`)))
  await a.append(startOf('last'))
  const first = await b.log.read(b.position, 0)
  t.strictSame(first.outcome === 'batches' && first.batches.map(({ entries }) => entries.length).slice(-2), [5_000, 1])
  t.equal((await b.read()).length, 5_064)
})

t.test('a process refuses to join processes of another format', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await stand.client.hset(stand.key('meta'), 'format', '1.7')
  await user.join()
  for (const format of ['2', '2.0', 'x']) {
    await stand.client.hset(stand.key('meta'), 'format', format)
    await t.rejects(stand.connect().join(), { code: 'FST_MC_BACKPLANE_INCOMPATIBLE', message: `format ${format}, which` })
  }
  await stand.client.hdel(stand.key('meta'), 'format')
  await t.rejects(user.join(), { code: 'FST_MC_BACKPLANE_INCOMPATIBLE' })
})

t.test('after it is closed, the log refuses everything and opens nothing', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const joining = stand.connect()
  const reading = user.log.read(user.position, 60_000)
  const refused = { code: 'FST_MC_CLOSING' }
  const rejected = Promise.all([t.rejects(reading, refused), t.rejects(joining.join(), refused)])
  await joining.log.close()
  await user.log.close()
  await user.log.close()
  await rejected
  await t.rejects(user.join(), refused)
  await t.rejects(user.append(startOf('m')), refused)
  await t.rejects(user.log.renew(user.position), refused)
  await t.rejects(user.log.history(), refused)
  await t.rejects(user.ids(), refused)
  t.strictSame(user.warnings, [])
})

t.test('a connection that cannot be opened is reported once, and tells the cause', async (t) => {
  const clock = createVirtualClock()
  const user = new LogUser(redisBackplane({ client: `redis://127.0.0.1:${await freePort()}` }), 'a', clock)
  t.teardown(async () => await user.log.close())
  const rejected = t.rejects(user.join(), {
    code: 'FST_MC_BACKPLANE_AWAY', message: 'Redis does not answer: no answer within 2000 ms', cause: { code: 'ECONNREFUSED' }
  })
  while (user.warnings.length < 3) await new Promise((resolve) => setImmediate(resolve))
  clock.advance(2_000)
  await rejected
  t.match(user.warnings, [{ code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }, { code: 'ECONNREFUSED' }], 'one for each connection')
})
