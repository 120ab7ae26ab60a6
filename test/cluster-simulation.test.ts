import t from 'tap'
import { backplaneConformance, type Backplane } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { createChance } from './support/cluster-simulation/chance.js'
import { createSimulatedBackplane, NO_FAULTS, type World } from './support/cluster-simulation/connection.js'
import { ProcessClock } from './support/cluster-simulation/process-clock.js'
import { SimulatedServer } from './support/cluster-simulation/server.js'

const LEASE_MS = 15_000

t.test('without faults, the simulated log keeps the contract of a backplane', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const createBackplane = (): Backplane => {
    const server = new SimulatedServer({ clock, leaseMs: LEASE_MS, maxBatches: 1_000 })
    const world: World = { clock, chance: createChance(1), server, faults: NO_FAULTS, connections: new Set(), isAway: false }
    return createSimulatedBackplane(world, new ProcessClock(clock), LEASE_MS)
  }
  const checks = backplaneConformance({ createBackplane, clock, advance: (ms) => clock.advance(ms), trimmedAfter: 1_000 })
  for (const { title, run } of checks) await t.resolves(run(), title)
})
