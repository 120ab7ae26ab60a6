// The parts that measure the plugin alone. Each starts its own processes, returns its figures and stops the processes.
import { setTimeout as sleep } from 'node:timers/promises'
import { median, round } from '../fanout/processes.mjs'
import { withStand } from './stand.mjs'

const SUBSCRIBERS = 200

/** From the call in A until the bytes are at a client of B, at 1,000 steps a second of 200 missions. */
export async function latency ({ isShort }) {
  return await withStand('plugin', {}, async (stand) => {
    const { servers: { A }, clients } = stand
    await stand.connect(['B'], { count: 1 })
    const how = { perSecond: 1_000, maxPerSecond: 1_000, names: 1, prefix: 'a', isTimed: true }
    await A.ask('live', { ...how, seconds: isShort ? 1 : 10 })
    await clients.ask('watch', { group: 'B' })
    const { times } = await A.ask('live', { ...how, seconds: isShort ? 3 : 60 })
    await sleep(500)
    const { arrivals } = await clients.ask('arrivals', { group: 'B' })
    return agesOf(times, arrivals)
  })
}

function agesOf (times, arrivals) {
  const arrivedAt = new Map(arrivals.map(([id, seq, at]) => [`${id} ${seq}`, at]))
  const ages = times.map(([id, seq, at]) => arrivedAt.get(`${id} ${seq}`) - at)
  const sorted = Float64Array.from(ages.filter((age) => age >= 0)).sort()
  const share = (part) => round(sorted[Math.floor(sorted.length * part)])
  return {
    steps: times.length,
    missing: times.length - sorted.length,
    p50Ms: share(0.5),
    p90Ms: share(0.9),
    p99Ms: share(0.99),
    maxMs: round(sorted.at(-1))
  }
}

/** 20,000 steps a second, each for one subscriber in each of two processes. */
export async function sustained ({ isShort }) {
  return await withStand('plugin', {}, async (stand) => {
    await stand.connect(['A', 'B'], { count: SUBSCRIBERS, isFiltered: true })
    const how = { perSecond: 20_000, names: SUBSCRIBERS }
    await stand.live({ ...how, seconds: isShort ? 1 : 5 })
    const before = await losses(stand)
    const lived = await stand.live({ ...how, seconds: isShort ? 5 : 60 })
    const after = await losses(stand)
    const costs = ['us', 'aUs', 'bUs', 'redisUs'].map((name) => [name, round(lived[name])])
    const { missing, merged, surplus, gaps, steps, perSecond } = lived
    return {
      steps,
      perSecond: Math.round(perSecond),
      missing,
      merged,
      surplus,
      gaps,
      ...Object.fromEntries(after.map(([name, value], at) => [name, value - before[at][1]])),
      ...Object.fromEntries(costs)
    }
  })
}

/** How messages can be lost: progress that newer progress has replaced at a slow socket, and steps that waited for Redis. */
const LOSSES = { replaced: 'ws_messages_replaced_total', dropped: 'backplane_steps_dropped_total' }

async function losses ({ servers: { A, B } }) {
  const counters = await Promise.all([A, B].map((server) => server.ask('counters', { names: Object.values(LOSSES) })))
  return Object.entries(LOSSES).map(([name, metric]) => [name, counters[0][metric] + counters[1][metric]])
}

/**
 * What a call costs in µs of CPU time: without a backplane and without subscribers, without a backplane and with one
 * subscriber, and with Redis. `processUs` is the CPU time of the whole process for each step, after the call too.
 */
export async function calls ({ isShort }) {
  const rounds = isShort ? 2 : 20
  return await withStand('plugin', {}, async (stand) => {
    const { A } = stand.servers
    const alone = await stand.openServer('alone', { redisUrl: undefined })
    const watched = await stand.openServer('watched', { redisUrl: undefined })
    stand.servers = { ...stand.servers, alone, watched }
    await stand.connect(['watched'], { count: 1 })
    const samples = { alone: [], watched: [], redis: [] }
    for (let turn = isShort ? -1 : -2; turn < rounds; turn++) {
      for (const [name, server] of [['alone', alone], ['watched', watched], ['redis', A]]) {
        const sample = await server.ask('calls', { prefix: `${name}-${turn}` })
        if (turn >= 0) samples[name].push(sample)
      }
    }
    return Object.fromEntries(Object.entries(samples).map(([name, list]) => [name, summary(list)]))
  })
}

const summary = (list) => ({
  ...Object.fromEntries(Object.keys(list[0].calls).map((kind) =>
    [`${kind}Us`, round(median(list.flatMap(({ calls }) => calls[kind])))])),
  processUs: round(median(list.map(({ processUs }) => processUs)))
})

/** Memory of Redis for each mission that it retains. The streams of the log are bounded and not part of it. */
export async function memory ({ isShort }) {
  const count = isShort ? 4_000 : 9_000
  return await withStand('plugin', {}, async ({ redis, servers: { A } }) => {
    await A.ask('fill', { prefix: 'first', active: 0, ended: 100 })
    const before = await usage(redis)
    await A.ask('fill', { prefix: 'm', active: 0, ended: count - 1 })
    const after = await usage(redis)
    const streams = after.streams - before.streams
    return {
      missions: count,
      bytes: Math.round((after.used - before.used - streams) / count),
      streamsMb: round(after.streams / 1e6)
    }
  })
}

async function usage (redis) {
  const { client } = redis
  const { used_memory: used } = await redis.info('memory')
  const keys = await client.keys('*')
  const streams = keys.filter((key) => /:(log|history:\d+)(:sizes)?$/.test(key))
  const sizes = await Promise.all(streams.map((key) => client.memory('USAGE', key, 'SAMPLES', 0)))
  return { used: Number(used), streams: sizes.reduce((sum, size) => sum + size, 0) }
}

const KNOWN = 100_000

/** Limits the heap for young objects, which is collected more often then. */
const SMALL_HEAP = ['--max-semi-space-size=2']

/**
 * Time and memory of a process that starts beside 100,000 known missions, active ones or ended ones. `SmallHeap`: with a
 * flag of Node.js that saves memory, to which no bound applies.
 */
export async function start ({ isShort }) {
  const figures = {}
  const counts = isShort ? [['active', KNOWN]] : [['active', KNOWN], ['ended', 0]]
  for (const [name, active] of counts) {
    const history = { maxMessages: KNOWN }
    const options = { missions: { maxActive: 2 * KNOWN, maxEnded: KNOWN }, websocket: { history } }
    Object.assign(figures, await withStand('plugin', { options }, async (stand) => {
      await stand.servers.A.ask('fill', { prefix: 'm', active, ended: KNOWN - active })
      // Without the flags that the other servers have for measuring.
      const usual = await startOne(stand, [])
      const small = await startOne(stand, SMALL_HEAP)
      return {
        [`${name}ReadyMs`]: usual.readyMs,
        [`${name}RssMb`]: usual.rssMb,
        [`${name}ReadyMsSmallHeap`]: small.readyMs,
        [`${name}RssMbSmallHeap`]: small.rssMb
      }
    }))
  }
  return figures
}

async function startOne (stand, flags) {
  const server = await stand.openServer('C', {}, flags)
  const { readyMs, rss, laterRss } = await server.ask('ready')
  await server.close()
  return { readyMs: Math.round(readyMs), rssMb: round(Math.max(rss, laterRss) / 1e6, 1) }
}

/** Commands a second of one process that does nothing, those of scripts not counted. */
export async function idle ({ isShort }) {
  const seconds = isShort ? 4 : 60
  return await withStand('plugin', {}, async (stand) => {
    await stand.connect(['A', 'B'], { count: 1 })
    await sleep(1_000)
    const before = await commands(stand.redis)
    await sleep(seconds * 1_000)
    const after = await commands(stand.redis)
    // One command is the measurement itself.
    return { perSecond: round((after - before - 1) / seconds / 2) }
  })
}

async function commands (redis) {
  const { total_commands_processed: total } = await redis.info('stats')
  return Number(total)
}
