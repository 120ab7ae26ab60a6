// One measured process, started by ../missions.mjs: fills a real app with missions, then replies to each request for a
// sample with the CPU times of single operations. CPU time includes all threads, also those of the garbage collector.
import Fastify from 'fastify'
import { missionControl } from '../../dist/lib/index.js'

const WORKING = 1_000
const RETAINED = 100_000
const LIVES_OF_FLAT = 200_000

// Longer than any run, so that a million stalled missions do not affect the measurement.
const stallMs = 3_600_000

const scenes = {
  /** 1,000 active missions. */
  thousand: async () => sampler(await openApp({ stallMs }), WORKING),
  /** 1,000 active missions, after 1,000,000 missions have ended under the default retention. */
  ever: async () => {
    const app = await openApp({ stallMs })
    for (let i = 0; i < 1_000_000; i++) await pauseNowAndThen(i, () => live(app.missions, i))
    return sampler(app, WORKING)
  },
  /** 1,000,000 active missions. */
  kept: async () => sampler(await openApp({ stallMs, maxActive: 1_010_000 }), 1_000_000),
  retained: async () => ({ bytes: await retainedBytes((missions, i) => live(missions, i)) }),
  retainedRun: async () => ({ bytes: await retainedBytes((missions, i) => missions.run(describe(i), work)) }),
  flat: async () => ({ heaps: await flatHeaps() })
}

async function openApp (missions) {
  const app = Fastify({ logger: false })
  await app.register(missionControl, { missions })
  await app.ready()
  return app
}

const describe = (i) => ({
  name: 'nightly import',
  objective: 'import all rows',
  tags: ['nightly'],
  metadata: { batch: i }
})

const progressOf = (taskId, index) => ({ taskId, index, total: 1_000_000_000, status: 'running' })

function work (mission) {
  mission.planned({ steps: ['read', 'check', 'write'] })
  mission.progress(progressOf('read', 1))
  mission.progress(progressOf('check', 2))
  mission.progress(progressOf('write', 3))
}

/** A typical mission: start, plan, three progress reports, and an end. One of ten ends is an error. */
function live (missions, i) {
  const mission = missions.start(describe(i))
  work(mission)
  if (i % 10 === 9) mission.fail(new Error('the database is unavailable'))
  else mission.complete()
}

// Lets timers and finalizers run between thousands of starts, as in a service.
async function pauseNowAndThen (i, run) {
  run()
  if (i % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve))
}

/** Starts `count` missions and returns the operations to sample. */
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
  const nextProgress = () => progressOf('write', ++step)
  const report = ({ id }) => missions.report(id, 'execution_progress', { progress: nextProgress() })
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

/** Calls `run` for each of `items`, `count` times over. Returns the mean time of a call by round. */
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

/** Heap growth per ended mission that can still be looked up. */
async function retainedBytes (liveOne) {
  const { missions } = await openApp({ maxEnded: 2 * RETAINED })
  for (let i = 0; i < 2_000; i++) await liveOne(missions, i)
  const before = await heapBytes()
  for (let i = 0; i < RETAINED; i++) await liveOne(missions, i)
  return (await heapBytes() - before) / RETAINED
}

/** The heap size after every tenth of 200,000 missions under the default retention. */
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
