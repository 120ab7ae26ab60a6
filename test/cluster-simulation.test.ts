import t from 'tap'
import { backplaneConformance, type Backplane } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { createChance } from './support/cluster-simulation/chance.js'
import { createSimulatedBackplane, NO_FAULTS, type World } from './support/cluster-simulation/connection.js'
import { SimulatedProcess } from './support/cluster-simulation/process.js'
import { ProcessClock } from './support/cluster-simulation/process-clock.js'
import { SimulatedServer } from './support/cluster-simulation/server.js'
import { ClusterStory, letHappen, LEASE_MS } from './support/cluster-simulation/story.js'
import { WorldClock } from './support/cluster-simulation/world-clock.js'

/** How many stories are played, each from its own seed; `.ci/run` plays more. */
const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 500)
/** Plays this seed only. */
const ONLY = process.env['SIMULATION_SEED']
const STORIES_PER_ASSERTION = 100

/** What happens in all stories, and how often it must in a hundred of them. */
const LEAST_PER_100 = {
  kill: 100,
  close: 50,
  pause: 100,
  away: 100,
  'lossy failover': 20,
  'mission lost': 20,
  'step fenced': 15,
  'step terminal': 100,
  'step repeated': 50,
  'step stale': 10,
  'step backward': 1,
  'step lost': 1,
  'cancel requested': 50,
  'cancel owner_unavailable': 20,
  'cancel at rest': 50,
  'gap epoch_changed': 200,
  'gap trimmed': 3
}
const happened: Record<string, number> = {}

/** Plays stories. Returns the problems of those that have any, and the command that plays the first one again; otherwise an empty string. */
async function play (seeds: readonly number[]): Promise<string> {
  const failed: string[] = []
  for (const seed of seeds) {
    const { problems, counts } = await new ClusterStory(seed).run()
    for (const [name, count] of Object.entries(counts)) happened[name] = (happened[name] ?? 0) + count
    if (problems.length > 0) failed.push(`seed ${seed}: ${problems.slice(0, 10).join('; ')}`)
  }
  const [first] = failed
  return first === undefined ? '' : `${failed.length} stories: ${first}\nplay it again with SIMULATION_SEED=${/\d+/.exec(first)?.[0]} npx tap test/cluster-simulation.test.ts`
}

t.test('through all failures of processes and of the log, each attempt has one ending, lost missions end once, and all pictures equal the log', { timeout: 400_000 }, async (t) => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)]
  for (let start = 0; start < seeds.length; start += STORIES_PER_ASSERTION) {
    const some = seeds.slice(start, start + STORIES_PER_ASSERTION)
    t.equal(await play(some), '', `seeds ${some[0]} to ${some.at(-1)}`)
  }
})

t.test('every fault and every answer of the log happens often', { skip: ONLY !== undefined && 'only one story is played' }, async (t) => {
  for (const [name, least] of Object.entries(LEAST_PER_100)) t.ok((happened[name] ?? 0) >= least * SEEDS / 100, `${name}: ${happened[name]} times`)
})

t.test('the same seed always makes the same story', async (t) => {
  for (const seed of [7, 77, 777]) {
    const [first, second] = [await new ClusterStory(seed).run(), await new ClusterStory(seed).run()]
    t.strictSame(first.lines, second.lines)
    t.strictSame(first.counts, second.counts)
  }
})

t.test('a failover that loses entries', async (t) => {
  /** Two processes that have joined. */
  const open = async (): Promise<{ clock: WorldClock, server: SimulatedServer, all: SimulatedProcess[], pass: (ms: number, isOver?: () => boolean) => Promise<void> }> => {
    const clock = new WorldClock(Date.UTC(2026, 0, 1))
    const server = new SimulatedServer({ clock, leaseMs: LEASE_MS, maxBatches: 1_000 })
    const world: World = { clock, chance: createChance(1), server, faults: { ...NO_FAULTS, latencyMs: 1 }, connections: new Set(), isAway: false, deferred: [] }
    const all: SimulatedProcess[] = []
    const pass = async (ms: number, isOver = () => false): Promise<void> => {
      for (const end = clock.monotonic() + ms; !isOver() && !clock.step(end);) await letHappen(world)
    }
    for (const name of ['one', 'two']) all.push(new SimulatedProcess({ world, name, leaseMs: LEASE_MS, options: {}, all }))
    await letHappen(world)
    await pass(5_000)
    return { clock, server, all, pass }
  }

  /** A process has a mission that the failover loses, and returns after `awayMs`. Returns what the clients of the other one see. */
  const loseMission = async (awayMs: number): Promise<{ snapshots: string[][], afterMs: number }> => {
    const { clock, server, all, pass } = await open()
    const [one, two] = all
    one!.missions.start({ id: 'a', name: 'import' })
    await pass(1_000)
    one!.connection.isCut = true
    one!.connection.break()
    server.failover(1)
    two!.connection.break()
    const begin = clock.monotonic()
    const { snapshots } = two!.witnesses[0]!
    const before = snapshots.length
    await pass(awayMs)
    one!.connection.isCut = false
    await pass(10_000, () => snapshots.length > before)
    for (const process of all) process.kill()
    return { snapshots: snapshots.slice(before), afterMs: clock.monotonic() - begin }
  }

  t.test('clients see no snapshot without a lost mission before its owner has told it again', async (t) => {
    const { snapshots, afterMs } = await loseMission(1_500)
    t.strictSame(snapshots, [['a']])
    t.ok(afterMs >= 1_500)
  })

  t.test('clients see within some seconds that a mission is gone, if its owner does not come back', async (t) => {
    const { snapshots } = await loseMission(9_000)
    t.strictSame(snapshots[0], [])
  })

  t.test('an ending of a process that is dead is told again by one that has read it', async (t) => {
    const { server, all, pass } = await open()
    const [one, two] = all
    one!.run('a', undefined, true)
    await pass(1_000)
    for (const running of one!.running) running.settle(undefined)
    await pass(1_000)
    t.equal(two!.cluster.picture.find('a')?.status, 'completed')
    one!.kill()
    server.failover(1)
    two!.connection.break()
    await pass(LEASE_MS * 3)
    t.equal(server.log.missions(['a'])[0]!.status, 'completed')
    t.match(two!.missions.stats(), { active: 0, completed: 1, errors: 0 })
    t.strictSame(two!.witnesses[0]!.snapshots.at(-1), [])
    two!.kill()
  })
})

t.test('without faults, the simulated log keeps the contract of a backplane', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const createBackplane = (): Backplane => {
    const server = new SimulatedServer({ clock, leaseMs: LEASE_MS, maxBatches: 1_000 })
    const world: World = { clock, chance: createChance(1), server, faults: NO_FAULTS, connections: new Set(), isAway: false, deferred: [] }
    return createSimulatedBackplane(world, new ProcessClock(clock), LEASE_MS)
  }
  const checks = backplaneConformance({ createBackplane, clock, advance: (ms) => clock.advance(ms), trimmedAfter: 1_000 })
  for (const { title, run } of checks) await t.resolves(run(), title)
})
