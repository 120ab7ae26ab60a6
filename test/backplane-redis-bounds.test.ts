import t from 'tap'
import { messageOf, runOf, startOf, stepOf, valueOf } from '../lib/backplane/conformance/steps.js'
import type { LogStep } from '../lib/backplane/index.js'
import { openRedis, type LogUser, type RedisStand } from './support/redis-log.js'
import { redisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

const withRedis = onlyWith(redisServer)
const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

const numbersTo = (count: number) => Array.from({ length: count }, (_, at) => at)

/** Appends steps in batches of a thousand. */
async function appendAll (user: LogUser, steps: readonly LogStep[]) {
  for (let from = 0; from < steps.length; from += 1_000) await user.append(...steps.slice(from, from + 1_000))
}

const memoryOf = async ({ client }: RedisStand, key: string) => await client.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) as number

/** The time to live of a key in ms, as the nearest whole number of a unit. */
const ttlOf = async ({ client }: RedisStand, key: string, unit: number) => Math.round(await client.pttl(key) / unit)

t.test('every key has a time to live, and all keys are of one slot of a cluster', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(
    startOf('active'), runOf('m', { tenant: 'x' }), stepOf('m', 'completed', { tenant: 'x' }), messageOf('health_delta', 'h'), valueOf('k', 'v'))
  await b.log.leave()
  const keys = (await stand.client.keys('*')).sort()
  const shard = keys.find((key) => /history:[1-8]$/.test(key))!.slice(-1)
  const names = [
    `answers:${a.instance.id}`, 'counts', 'counts:idle', 'fenced', 'heads', 'heads:age', 'history:0', 'history:0:sizes', `history:${shard}`, `history:${shard}:sizes`,
    'index', 'instances', 'log', 'log:sizes', 'm:active', 'm:m', 'meta', 'retained', 'retained:age', 'services'
  ]
  t.strictSame(keys, names.map((name) => stand.key(name)).sort())
  const days = new Map(names.map((name) => [name, 7]))
  days.set('m:active', 8).set('m:m', 1)
  for (const [name, expected] of days) t.equal(await ttlOf(stand, stand.key(name), DAY_MS), expected, name)
  t.equal(await ttlOf(stand, stand.key('m:m'), HOUR_MS), 25)
})

t.test('times to live are extended once an hour by whatever is going on', withRedis, async (t) => {
  const stand = await openRedis(t)
  const { client } = stand
  const user = await stand.open()
  await user.append(runOf('m'))
  const activities = [async () => await user.append(messageOf('health_delta', 'h')), async () => await user.log.renew(user.position), async () => await user.join()]
  for (const act of activities) {
    await client.pexpire(stand.key('log'), HOUR_MS)
    await act()
    t.equal(await ttlOf(stand, stand.key('log'), HOUR_MS), 1, 'not within the hour')
    await client.hset(stand.key('meta'), 'refreshedAt', Date.now() - HOUR_MS)
    await act()
    t.equal(await ttlOf(stand, stand.key('log'), DAY_MS), 7)
  }
  const key = stand.key('m:m')
  await client.pexpire(key, HOUR_MS)
  await user.append(stepOf('m', 'execution_progress'))
  t.equal(await ttlOf(stand, key, HOUR_MS), 1)
  // The hour is the 4 bytes after the first 47.
  const anHourEarlier = "local h = redis.call('HGET', KEYS[1], 'h') redis.call('HSET', KEYS[1], 'h', h:sub(1, 47) .. struct.pack('<I4', struct.unpack('<I4', h, 48) - 1) .. h:sub(52))"
  await client.eval(anHourEarlier, 1, key)
  await user.append(stepOf('m', 'execution_progress'))
  t.equal(await ttlOf(stand, key, DAY_MS), 8)
  await user.append(stepOf('m', 'completed'))
  t.equal(await ttlOf(stand, key, HOUR_MS), 25)
  await user.append(runOf('m', { attempt: 2 }))
  t.equal(await ttlOf(stand, key, DAY_MS), 8)
})

t.test('missions that have expired leave the index when missions are read, or when others start', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const index = async () => (await stand.client.zrange(stand.key('index'), 0, -1)).sort()
  await user.append(...['k', 'l', 'm', 'n'].map((id) => stepOf(id, 'completed')))
  await stand.client.del(stand.key('m:k'))
  t.strictSame(await user.ids(), ['l', 'm', 'n'])
  t.strictSame(await index(), ['l', 'm', 'n'])
  for (const id of ['l', 'm', 'n']) await stand.client.del(stand.key(`m:${id}`))
  await user.append(startOf('o'))
  t.strictSame(await index(), ['n', 'o'], 'two for each mission that starts')
  await user.append(startOf('p'))
  t.strictSame(await index(), ['o', 'p'])
  await user.append(startOf('q'))
  await user.append(startOf('r'))
  t.strictSame(await index(), ['o', 'p', 'q', 'r'])
})

t.test('an active mission that is silent for a week is forgotten, and no longer counted', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const activeOf = async () => (await user.join()).counts.map(({ tenant, active }) => [tenant, active]).sort()
  await user.append(startOf('m'), startOf('n', { tenant: 'x' }), startOf('o', { tenant: 'x' }), stepOf('done', 'completed'))
  for (const id of ['m', 'n', 'done']) await stand.client.pexpire(stand.key(`m:${id}`), DAY_MS - 1_000)
  await user.append(startOf('p'), startOf('q'))
  t.strictSame(await user.ids(), ['done', 'o', 'p', 'q'])
  t.strictSame(await activeOf(), [[null, 3], ['x', 1]])
  t.strictSame(await user.append(stepOf('m', 'execution_progress')), ['applied'], 'it may be reported again')
  t.strictSame(await activeOf(), [[null, 4], ['x', 1]])
})

t.test('the log is bounded by the size of its entries', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [user, late] = [await stand.open(), await stand.open()]
  const text = 'x'.repeat(900_000)
  for (const at of numbersTo(60)) await user.append(stepOf('m', 'execution_progress', { state: text, messageId: `${at}` }))
  const bytes = await memoryOf(stand, stand.key('log'))
  t.ok(bytes < 40 * 2 ** 20 && bytes > 20 * 2 ** 20, `${bytes} bytes`)
  t.equal(await late.read(), 'trimmed')
  t.equal(await stand.client.xlen(stand.key('log')), await stand.client.llen(stand.key('log:sizes')))
  await stand.client.del(stand.key('log:sizes'))
  await user.append(stepOf('m', 'execution_progress', { state: text }))
  t.equal(await stand.client.xlen(stand.key('log')), 0, 'without the sizes, it begins again')
  await late.join()
  await user.append(startOf('n'))
  t.match(await late.read(), [{ id: 'n', sequence: 62 }])
})

t.test('a tenant with many entries evicts no history of most others, by count or by size', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const tenants = numbersTo(20).map((at) => `tenant ${at}`)
  const of = async () => {
    const found = new Map<string | null, number>()
    for (const { entries } of await user.log.history()) for (const { tenant } of entries) found.set(tenant, (found.get(tenant) ?? 0) + 1)
    return found
  }
  await user.append(messageOf('health_delta', 'of operators'), ...tenants.map((tenant) => messageOf('health_delta', 'quiet', { tenant })))
  await appendAll(user, numbersTo(4_000).map((at) => messageOf('health_delta', `${at}`, { tenant: 'noisy' })))
  const some = await of()
  t.ok(some.get('noisy')! <= 2_500 && some.get('noisy')! > 2_300, `${some.get('noisy')} are kept`)
  t.equal(some.get(null), 1)
  t.ok(tenants.filter((tenant) => some.has(tenant)).length >= 12)
  await appendAll(user, numbersTo(2_000).map((at) => messageOf('health_delta', `${at}`, { tenant: 'large', update: 'x'.repeat(10_000) })))
  const others = await of()
  t.ok(others.get('large')! <= 420 && others.get('large')! > 300, `${others.get('large')} are kept`)
  t.equal(others.get(null), 1)
  for (const at of numbersTo(9)) t.ok(await memoryOf(stand, stand.key(`history:${at}`)) < 6 * 2 ** 20)
})

t.test('counts are kept of all tenants with active missions, and of 10,000 others', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await user.append(startOf('active', { tenant: 'active' }), stepOf('first', 'completed', { tenant: 'first' }))
  await appendAll(user, numbersTo(10_000).map((at) => stepOf(`m${at}`, 'completed', { tenant: `tenant ${at}`, isReliable: false })))
  const { counts } = await user.join()
  const tenants = new Set(counts.map(({ tenant }) => tenant))
  t.equal(tenants.size, 10_002)
  t.ok(tenants.has('active') && tenants.has(null) && tenants.has('tenant 9999'))
  t.notOk(tenants.has('first'), 'the one that has been idle for longest')
})

t.test('heads are kept of 20,000 tenants, and their offsets go on', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const messages = (count: number) => numbersTo(count).map((at) => messageOf('health_delta', `${at}`, { tenant: `tenant ${at}` }))
  await appendAll(user, messages(20_001))
  await user.append(messageOf('health_delta', 'last', { tenant: 'tenant 20000' }))
  const { heads } = await user.join()
  t.equal(heads.length, 20_001)
  t.match(heads.find(({ tenant }) => tenant === null), { offset: 20_002, messageId: 'last' })
  t.match(heads.find(({ tenant }) => tenant === 'tenant 20000'), { offset: 2, messageId: 'last' })
  t.notOk(heads.some(({ tenant }) => tenant === 'tenant 0'))
})

t.test('an instance that has left is refused for a week, and told to others for an hour', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.log.leave()
  t.match(await b.log.renew(b.position), { fenced: [a.instance.id] })
  const rewind = async (ms: number) => await stand.client.zadd(stand.key('fenced'), Date.now() - ms, a.instance.id)
  await rewind(HOUR_MS + 1_000)
  t.match(await b.log.renew(b.position), { outcome: 'renewed', fenced: [] })
  t.equal(await a.append(startOf('m')), 'fenced')
  t.strictSame(await a.log.renew(a.position), { outcome: 'fenced' })
  await a.join()
  t.equal(await a.append(startOf('m')), 'fenced', 'joining again does not help')
  await rewind(7 * DAY_MS + 1_000)
  await stand.client.hset(stand.key('meta'), 'refreshedAt', 0)
  await b.log.renew(b.position)
  t.equal(await stand.client.zcard(stand.key('fenced')), 0)
})

t.test('at most 10,000 fenced instances are known', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await stand.client.zadd(stand.key('fenced'), ...numbersTo(10_050).flatMap((at) => [at, `instance ${at}`]))
  await user.log.leave()
  t.equal(await stand.client.zcard(stand.key('fenced')), 10_000)
  t.ok(await stand.client.zscore(stand.key('fenced'), user.instance.id))
})

t.test('an instance costs few commands while nothing happens', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const commands = async () => {
    const info = await stand.client.info('commandstats')
    return [...info.matchAll(/^cmdstat_(?!info)\S+:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0)
  }
  // The first call of a script sends it.
  await user.log.renew(user.position)
  await user.read()
  let before = await commands()
  await user.read(1)
  t.equal(await commands() - before, 2, 'of a read that waits in vain')
  before = await commands()
  await user.log.renew(user.position)
  t.ok(await commands() - before <= 10, 'of a renewal, those that its script calls included')
})

t.test('a stored mission takes at most 1.5 KiB', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  const used = async () => Number(/used_memory:(\d+)/.exec(await stand.client.info('memory'))![1])
  // The streams are full before the first measurement.
  const state = 'x'.repeat(600)
  const steps = (count: number, from: number) => numbersTo(count).flatMap((at) => {
    const id = `mission_${String(from + at).padStart(36, '0')}`
    return [runOf(id, { state }), stepOf(id, 'completed', { state, durationMs: 1_234.5, messageId: `message_${id}` })]
  })
  await appendAll(user, steps(25_000, 0))
  const before = await used()
  await appendAll(user, steps(10_000, 100_000))
  const each = (await used() - before) / 10_000
  t.ok(each < 1_536, `${each} bytes`)
})
