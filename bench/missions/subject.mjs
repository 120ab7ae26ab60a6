// One process under measurement, started by ../missions.mjs: fills a real app with missions, then answers each request for a sample
// with CPU times of single operations. CPU time is that of the whole process, all threads of the garbage collector included.
import Fastify from 'fastify'
import { missionControl } from '../../dist/lib/index.js'

const WORKING = 1_000
const RETAINED = 100_000
const LIVES_OF_FLAT = 200_000

// Longer than any run of this takes: a million missions that are flagged as stalled in between would be another measurement.
const stallMs = 3_600_000

const scenes = {
  /** 1,000 missions, all of them active. */
  thousand: async () => sampler(await openApp({ stallMs }), WORKING),
  /** 1,000,000 missions have lived and ended under the default retention; then the same 1,000. */
  ever: async () => {
    const app = await openApp({ stallMs })
    for (let i = 0; i < 1_000_000; i++) await pauseNowAndThen(i, () => live(app.missions, i))
    return sampler(app, WORKING)
  },
  /** 1,000,000 missions are active at once. */
  kept: async () => sampler(await openApp({ stallMs, maxActive: 1_010_000 }), 1_000_000),
  retained: async () => ({ bytes: await retainedBytes((missions, i) => live(missions, i)) }),
  retainedRun: async () => ({ bytes: await retainedBytes((missions, i) => missions.run(describe(i), (mission) => work(mission))) }),
  flat: async () => ({ heaps: await flatHeaps() })
}

async function openApp (missions) {
  const app = Fastify({ logger: false })
  await app.register(missionControl, { missions })
  await app.ready()
  return app
}

const describe = (i) => ({ name: 'nightly import', objective: 'bring in all rows', tags: ['nightly'], metadata: { batch: i } })

const progressOf = (taskId, index) => ({ taskId, index, total: 1_000_000_000, status: 'running' })

function work (mission) {
  mission.planned({ steps: ['read', 'check', 'write'] })
  mission.progress(progressOf('read', 1))
  mission.progress(progressOf('check', 2))
  mission.progress(progressOf('write', 3))
}

/** A typical life: start, plan, three times progress, and an ending, which is an error one time in ten. */
function live (missions, i) {
  const mission = missions.start(describe(i))
  work(mission)
  if (i % 10 === 9) mission.fail(new Error('the database is away'))
  else mission.complete()
}

// Lets timers and finalizers run during a long filling, as they would in a service.
async function pauseNowAndThen (i, run) {
  run()
  if (i % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve))
}

/** Starts `count` missions and gives what to sample: reports of the 1,000 started last, of 1,000 spread evenly over all, of any. */
async function sampler ({ missions, missionControl: { metrics } }, count) {
  const active = []
  for (let i = 0; i < count; i++) {
    await pauseNowAndThen(i, () => {
      const mission = missions.start(describe(i))
      work(mission)
      active.push(mission)
    })
  }
  const newest = shuffle(active.slice(-WORKING))
  const spread = shuffle(Array.from({ length: WORKING }, (_, i) => active[Math.floor(i * count / WORKING)]))
  let step = 10
  const report = (mission) => missions.report(mission.id, 'execution_progress', { progress: progressOf('write', ++step) })
  const progress = (mission) => mission.progress(progressOf('write', ++step))
  const any = () => shuffle(Array.from({ length: WORKING }, () => active[Math.floor(Math.random() * count)]))
  const samples = {
    report: () => batches(20, newest, report),
    progress: () => batches(20, newest, progress),
    spread: () => batches(20, spread, report),
    anywhere: () => [1, 2, 3, 4, 5].flatMap(() => batches(1, any(), report)),
    listened: () => {
      const off = missions.on('mission_update', () => {})
      const figures = batches(20, newest, progress)
      off()
      return figures
    },
    life: () => batches(5, Array(500), () => missions.start('short').complete()),
    run: () => awaitedBatches(5, 100, () => missions.run('short', async () => {})),
    scrape: () => awaitedBatches(20, 1, async () => {
      await metrics.render()
      missions.stats()
    })
  }
  globalThis.gc()
  return { samples }
}

function shuffle (list) {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]]
  }
  return list
}

/** `run` for each of `items`, `count` times over: the time each took on average, once a round. */
function batches (count, items, run) {
  return Array.from({ length: count }, () => {
    const before = process.cpuUsage()
    for (let i = 0; i < items.length; i++) run(items[i])
    return nanosecondsSince(before) / items.length
  })
}

async function awaitedBatches (count, size, run) {
  const figures = []
  while (figures.length < count) {
    const before = process.cpuUsage()
    for (let i = 0; i < size; i++) await run()
    figures.push(nanosecondsSince(before) / size)
  }
  return figures
}

function nanosecondsSince (before) {
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1_000
}

async function heapBytes () {
  await new Promise((resolve) => setImmediate(resolve))
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

/** What the heap grows by for each mission that has ended and can still be looked up. */
async function retainedBytes (liveOne) {
  const { missions } = await openApp({ maxEnded: 2 * RETAINED, maxErrors: 2 * RETAINED })
  for (let i = 0; i < 2_000; i++) await liveOne(missions, i)
  const before = await heapBytes()
  for (let i = 0; i < RETAINED; i++) await liveOne(missions, i)
  return (await heapBytes() - before) / RETAINED
}

/** The heap after every tenth of 200,000 lives under the default retention. */
async function flatHeaps () {
  const { missions } = await openApp({})
  const heaps = []
  for (let i = 1; i <= LIVES_OF_FLAT; i++) {
    live(missions, i)
    if (i % (LIVES_OF_FLAT / 10) === 0) heaps.push(await heapBytes())
  }
  return heaps
}

const { samples, ...figures } = await scenes[process.argv[2]]()
process.on('message', async (name) => process.send(await samples[name]()))
process.on('disconnect', () => process.exit())
process.send(figures)
