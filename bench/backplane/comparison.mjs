// The plugin beside Socket.IO with its two adapters for Redis. The servers take turns in every round.
import { median, round } from '../fanout/processes.mjs'
import { Stand } from './stand.mjs'

const KINDS = ['plugin', 'socketIoStreams', 'socketIoPubSub']
const SUBSCRIBERS = 200
/** The size of the plugin's messages in this work. */
const BYTES = 378

/** How often and how long each server is measured. The first rounds, below 0, do not count. */
const FULL = { first: -1, rounds: 5, seconds: 6 }
const SHORT = { first: 0, rounds: 1, seconds: 1 }

async function compare (works, how) {
  const stands = []
  try {
    for (const kind of KINDS) stands.push(await Stand.open(kind, { bytes: BYTES }))
    const rows = []
    const maxPerSecond = Math.max(...works.map(({ perSecond }) => perSecond))
    for (const work of works) {
      for (const stand of stands) await stand.connect(['A', 'B'], { count: SUBSCRIBERS, isFiltered: !work.isForAll })
      rows.push(...await measure(stands, work, { ...how, maxPerSecond }))
    }
    return rows
  } finally {
    for (const stand of stands) await stand.close()
  }
}

async function measure (stands, { name, ...work }, { first, rounds, seconds, maxPerSecond }) {
  const samples = stands.map(() => [])
  for (let turn = first; turn < rounds; turn++) {
    for (const [at, stand] of stands.entries()) {
      const sample = await stand.live({ ...work, names: SUBSCRIBERS, maxPerSecond, seconds })
      if (turn >= 0) samples[at].push(sample)
    }
  }
  return stands.map(({ kind }, at) => {
    const middle = (field) => median(samples[at].map((sample) => sample[field]))
    const total = (field) => samples[at].reduce((sum, sample) => sum + sample[field], 0)
    return {
      work: name,
      kind,
      due: work.perSecond,
      perSecond: Math.round(middle('perSecond')),
      bytes: middle('bytes'),
      missing: total('missing'),
      merged: total('merged'),
      surplus: total('surplus'),
      us: round(middle('us')),
      aUs: round(middle('aUs')),
      bUs: round(middle('bUs')),
      redisUs: round(middle('redisUs'))
    }
  })
}

/** Each step goes to one subscriber in each process. `us` is the CPU time of both processes and Redis for a step. */
export async function own ({ isShort }) {
  const rates = isShort ? [10_000] : [2_000, 5_000, 10_000, 20_000]
  const works = rates.map((perSecond) => ({ name: `${perSecond}/s`, perSecond }))
  return await compare(works, isShort ? SHORT : FULL)
}

/** Each step goes to all 200 subscribers in each process, alone or ten at a time. */
export async function everybody ({ isShort }) {
  const works = (isShort ? [10] : [1, 10]).map((burst) =>
    ({ name: `bursts of ${burst}`, perSecond: 200, burst, isForAll: true }))
  return await compare(works, isShort ? SHORT : FULL)
}
