import t, { type Test } from 'tap'
import { messageOf, runOf, startOf, stepOf } from '../lib/backplane/conformance/steps.js'
import type { LogEntry } from '../lib/backplane/index.js'
import { redisBackplane } from '../lib/backplane/redis/index.js'
import { systemClock } from '../lib/base/clock.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { openRedis, type LogUser, type RedisStand } from './support/redis-log.js'
import { redisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

const withRedis = onlyWith(redisServer)
const APPLIED = ['applied']
const HUGE = 'x'.repeat(1_048_577)

/** The user was warned once: of so many entries until then. */
function demandWarned (t: Test, user: LogUser, count: number) {
  t.equal(user.dropped, count)
  t.match(user.warnings, [{ code: 'FST_MC_BACKPLANE_ENTRY', message: `Broken entries in the backplane were dropped: ${count} since the start` }])
  t.equal(user.warnings.length, 1)
  user.warnings.length = 0
}

const lengthOf = async (stand: RedisStand, name: string) => await stand.client.xlen(stand.key(name))

const sequencesOf = (entries: LogEntry[] | string) => typeof entries === 'string' ? entries : entries.map(({ sequence }) => sequence)

type Fields = string[]

/** Changes the fields of every entry of a stream, which keep their ids. */
async function rewrite (stand: RedisStand, name: string, change: (fields: Fields) => void) {
  const key = stand.key(name)
  const entries = await stand.client.xrange(key, '-', '+')
  await stand.client.del(key)
  for (const [id, fields] of entries) {
    change(fields)
    // An odd number of fields is not possible.
    await stand.client.xadd(key, id, ...fields)
  }
}

t.test('entries that something else has written to the log are removed, and stop nobody', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(startOf('m'))
  const [[, [, header]]] = await stand.client.xrange(stand.key('log'), '-', '+') as unknown as [[string, Fields]]
  const foreign = [
    ['foo', 'bar'], ['b', 'garbage'], ['b', header!, 'one', 'two'], ['b', header!.replace(/^1/, '2')], ['b', header!, ...Array<string>(8).fill('')], ['x'.repeat(100_000), HUGE]
  ]
  for (const fields of foreign) await stand.client.xadd(stand.key('log'), '*', ...fields)
  t.equal(await lengthOf(stand, 'log'), 7)
  t.strictSame(sequencesOf(await b.read()), [1])
  demandWarned(t, b, 6)
  t.equal(await lengthOf(stand, 'log'), 1)
  t.strictSame(await a.append(startOf('n')), APPLIED, 'although the last id of the stream is in the future')
  t.strictSame(sequencesOf(await b.read(60_000)), [2])
  t.strictSame(b.warnings, [])
})

t.test('an append removes what something else has written behind the log', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(startOf('m'))
  for (let at = 0; at < 250; at++) await stand.client.xadd(stand.key('log'), '*', 'foo', 'bar')
  await stand.client.xadd(stand.key('history:0'), '*', 'foo', 'bar')
  t.strictSame(await a.append(startOf('n'), startOf('o')), ['applied', 'applied'])
  t.strictSame(sequencesOf(await b.read()), [1, 2, 3])
  t.equal(await lengthOf(stand, 'log'), 2)
  t.strictSame((await b.log.history()).map(({ entries }) => sequencesOf([...entries])), [[1], [2, 3]])
  t.strictSame(b.warnings, [])
})

t.test('an entry with an id that a batch will have is replaced by the batch', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(startOf('m'))
  for (const id of ['1-5', '2-0', '2-7', '4-0']) await stand.client.xadd(stand.key('log'), id, 'foo', 'bar')
  t.strictSame(await a.append(startOf('n'), startOf('o')), ['applied', 'applied'])
  t.strictSame(sequencesOf(await b.read()), [1, 2, 3])
  t.strictSame(sequencesOf(await b.read()), [])
})

t.test('a stream that something else has replaced begins again', withRedis, async (t) => {
  const stand = await openRedis(t)
  const [a, b] = [await stand.open(), await stand.open()]
  await a.append(startOf('m'))
  for (const name of ['log', 'history:0']) await stand.client.set(stand.key(name), 'garbage')
  t.strictSame(await a.append(startOf('n')), APPLIED)
  t.equal(await b.read(), 'trimmed')
  t.strictSame((await b.log.history()).map(({ entries }) => sequencesOf([...entries])), [[2]])
})

t.test('a batch is not appended twice, although something else has broken a table', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await stand.client.set(stand.key('index'), 'garbage')
  await t.rejects(user.append(startOf('m')), /WRONGTYPE/)
  t.strictSame(await user.appendAgain(startOf('m')), APPLIED)
  t.strictSame(sequencesOf(await user.read()), [1])
})

const BREAKS: ReadonlyArray<readonly [what: string, change: (fields: Fields) => void]> = [
  ['numbers that are none', (fields) => { fields[2] = 'garbage' }],
  ['an empty text instead of numbers', (fields) => { fields[2] = '' }],
  ['a number that is negative', (fields) => { fields[2] = fields[2]!.replace(/^1/, '-1') }],
  ['a number that is too large', (fields) => { fields[2] = fields[2]!.replace(/^1/, '1e300') }],
  ['a number that is missing', (fields) => { fields[2] = fields[2]!.replace(/^1/, '') }],
  ['a length that is no number', (fields) => { fields[2] = fields[2]!.replace(/\d+$/, 'x') }],
  ['a length beyond the text', (fields) => { fields[2] = fields[2]!.replace(/\d+$/, '1000') }],
  ['a duration that is infinite', (fields) => { fields[2] = fields[2]!.replace(/,0,(-1,\d+,\d+)$/, ',Infinity,$1') }],
  ['a tenant of a broken length', (fields) => { fields[2] = fields[2]!.replace(/,-1,(\d+,\d+)$/, ',0.5,$1') }],
  ['another kind', (fields) => { fields[2] = fields[2]!.replace('m', 'x') }],
  ['an unknown status', (fields) => { fields[2] = fields[2]!.replace('m3', 'm9') }],
  ['an attempt that is no number', (fields) => { fields[2] = fields[2]!.replace(/(m3.)1/, '$1x') }],
  ['a mission without an id', (fields) => { fields[2] = fields[2]!.replace(/\d+$/, '0') }],
  ['an update that is huge', (fields) => { fields[3] = HUGE }],
  ['names that are huge', (fields) => { fields[4] = fields[4]! + HUGE }],
  ['a state that is huge', (fields) => { fields[5] = HUGE }]
]

for (const [what, change] of BREAKS) {
  t.test(`an entry with ${what} becomes a gap, and those beside it stay`, withRedis, async (t) => {
    const stand = await openRedis(t)
    const user = await stand.open()
    await user.append(startOf('m'), startOf('n'), messageOf('health_delta', 'h'))
    await user.append(stepOf('n', 'completed'))
    let count = 0
    await rewrite(stand, 'log', (fields) => { if (count++ === 0) change(fields) })
    const entries = await user.read()
    t.match(entries, [
      { kind: 'publication', channel: 'mission_update', tenant: null, update: '', retain: undefined, sequence: 1, offset: 0 },
      { kind: 'mission', id: 'n', sequence: 2 }, { kind: 'publication', channel: 'health_delta', sequence: 3 }, { kind: 'mission', id: 'n', sequence: 4 }
    ])
    demandWarned(t, user, 1)
  })
}

t.test('a batch whose last entry lacks fields keeps its sequences', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await user.append(startOf('m'), startOf('n'))
  await user.append(startOf('o'))
  let count = 0
  await rewrite(stand, 'log', (fields) => { if (count++ === 0) fields.splice(-2) })
  t.match(await user.read(), [{ id: 'm', sequence: 1 }, { kind: 'publication', update: '', sequence: 2 }, { id: 'o', sequence: 3 }])
  demandWarned(t, user, 1)
})

t.test('broken entries of the history are dropped', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  for (const id of ['k', 'l', 'm', 'n']) await user.append(startOf(id), messageOf('health_delta', `of ${id}`))
  const changes = [(fields: Fields) => { fields[2] = 'garbage' }, (fields: Fields) => { fields[2] = '2:garbage' }, (fields: Fields) => fields.splice(2), (fields: Fields) => { fields[1] = 'garbage' }]
  let count = 0
  await rewrite(stand, 'history:0', (fields) => changes[count++]!(fields))
  await stand.client.xadd(stand.key('history:3'), '*', 'foo', 'bar')
  const kept = (await user.log.history()).flatMap(({ entries }) => entries)
  t.match(kept, [{ messageId: 'of k' }, { messageId: 'of l' }])
  t.equal(kept.length, 2)
  demandWarned(t, user, 4)
})

t.test('broken missions are not returned, and replaced when a mission with their id starts', withRedis, async (t) => {
  const stand = await openRedis(t)
  const { client } = stand
  const user = await stand.open()
  const ids = ['text', 'list', 'garbage', 'short', 'status', 'attempt', 'huge', 'other', 'good']
  await user.append(...ids.map((id) => startOf(id)))
  const key = (id: string) => stand.key(`m:${id}`)
  const generation = await client.hget(stand.key('meta'), 'generation')
  const change = async (id: string, values: string) =>
    await client.eval(`redis.call('HSET', KEYS[1], 'h', struct.pack('<c8I7BI6BI6I6I6I6I4I2c0I2c0', ${values}))`, 1, key(id))
  await client.set(key('text'), 'garbage')
  await client.del(key('list'))
  await client.rpush(key('list'), 'garbage')
  await client.hset(key('garbage'), 'h', 'garbage')
  await client.hset(key('short'), 'h', generation!)
  await change('status', `'${generation}', 1, 9, 1, 1, 1, 1, 1, 0, 5, 1, 'o', 0, ''`)
  await change('attempt', `'${generation}', 2 ^ 54, 3, 1, 1, 1, 1, 1, 0, 5, 1, 'o', 0, ''`)
  await client.hset(key('huge'), 'd', HUGE)
  await change('other', "'another!', 1, 3, 1, 1, 1, 1, 1, 0, 5, 1, 'o', 0, ''")
  t.strictSame(await user.ids(), ['good'])
  demandWarned(t, user, 8)
  await user.log.remove(ids.map((id) => ({ id, sequence: 1_000 })))
  const again = ['text', 'list', 'garbage', 'short', 'huge', 'other']
  t.strictSame(await user.append(...again.map((id) => runOf(id, { state: 'small' }))), again.map(() => 'applied'))
  t.strictSame((await user.ids()).filter((id) => again.includes(id)), again.sort())
})

t.test('broken counts, heads and services count as none', withRedis, async (t) => {
  const stand = await openRedis(t)
  const user = await stand.open()
  await user.append(startOf('m', { tenant: 'x' }))
  for (const [name, field] of [['counts', '*'], ['counts', '=x'], ['heads', 'mission_update']] as const) await stand.client.hset(stand.key(name), field, 'garbage')
  t.strictSame(await user.append(stepOf('m', 'completed', { tenant: 'x' })), APPLIED)
  const { counts, heads } = await user.join()
  t.strictSame(counts.map(({ completed }) => completed), [1, 1])
  t.strictSame(heads.find(({ tenant }) => tenant === null)?.offset, 1)
})

t.test('warnings of broken entries are rare, and have the number of all', withRedis, async (t) => {
  const stand = await openRedis(t)
  const clock = createVirtualClock()
  const user = await stand.open({ clock })
  const dirty = async () => {
    await stand.client.xadd(stand.key('log'), '*', 'foo', 'bar')
    await user.read()
  }
  await dirty()
  demandWarned(t, user, 1)
  await dirty()
  clock.advance(9_999)
  await dirty()
  t.strictSame(user.warnings, [])
  t.equal(user.dropped, 3, 'all are counted')
  clock.advance(1)
  await dirty()
  demandWarned(t, user, 4)
})

t.test('broken entries need not be counted by the one who reads them', withRedis, async (t) => {
  const stand = await openRedis(t)
  const warnings: unknown[] = []
  const log = redisBackplane({ client: stand.server.url }).connect({ clock: systemClock, onMessage: () => {}, onWarning: (err) => { warnings.push(err) } })
  t.teardown(async () => await log.close())
  const { position } = await log.join({ id: 'a', service: 's' })
  await stand.client.xadd(stand.key('log'), '*', 'foo', 'bar')
  t.strictSame(await log.read(position, 0), { outcome: 'batches', batches: [] })
  t.match(warnings, [{ code: 'FST_MC_BACKPLANE_ENTRY' }])
})

t.test('texts that Redis treats in a special way return unchanged', withRedis, async (t) => {
  const stand = await openRedis(t)
  const a = await stand.open({ id: 'host:1,2 3\n4' })
  const b = await stand.open({ id: 'ü 🚀' })
  await a.append(runOf('m', { attempt: 3 }), messageOf('a,b:c', 'x', { retain: { key: 'k:1,2 ü', value: 'v,🚀' } }))
  await a.log.leave()
  const lost = { attempt: 3, lostWith: a.instance.id, messageId: '', tenant: null }
  t.strictSame(await b.append(stepOf('m', 'error', lost)), APPLIED)
  t.match(await b.read(), [
    { id: 'm', attempt: 3, owner: a.instance.id, isRun: true }, { channel: 'a,b:c', messageId: 'x', retain: { key: 'k:1,2 ü', value: 'v,🚀' } },
    { id: 'm', owner: a.instance.id, status: 'error', messageId: '' }
  ])
  t.match(await b.join(), { retained: [['k:1,2 ü', 'v,🚀']], heads: [{ channel: 'mission_update' }, { channel: 'a,b:c', messageId: 'x' }] })
  t.match(await b.log.renew(b.position), { alive: [b.instance], fenced: [a.instance.id] })
})
