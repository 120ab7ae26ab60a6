import t from 'tap'
import { backplaneConformance, type Backplane } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { createChance } from './support/cluster-simulation/chance.js'
import { createSimulatedBackplane, NO_FAULTS, type World } from './support/cluster-simulation/connection.js'
import { ClusterStory } from './support/cluster-simulation/story.js'
import { ProcessClock } from './support/cluster-simulation/process-clock.js'
import { SimulatedServer } from './support/cluster-simulation/server.js'

const LEASE_MS = 15_000

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

/** How many stories are played, each from its own seed; `.ci/run` plays more. */
const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 500)
/** Plays this seed only. */
const ONLY = process.env['SIMULATION_SEED']

t.test('tries', { timeout: 400_000 }, async (t) => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)]
  const counts: Record<string, number> = {}
  const kinds: Record<string, number> = {}
  for (const seed of seeds) {
    const { problems, counts: some, lines } = await new ClusterStory(seed).run()
    for (const [name, count] of Object.entries(some)) counts[name] = (counts[name] ?? 0) + count
    for (const p of problems) kinds[p.replace(/\d+/g, '#').slice(0, 60)] ??= seed
    if (problems.length > 0) t.fail(`seed ${seed}: ${problems.slice(0, ONLY ? 30 : 3).join('\n')}`)
    if (ONLY) console.log(lines.join('\n'))
  }
  console.log(kinds)
  console.log(counts)
})
