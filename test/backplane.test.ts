import t from 'tap'
import { backplaneConformance, createMemoryBackplane } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'

t.test('the memory backplane keeps the contract', async (t) => {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  const checks = backplaneConformance({
    createBackplane: () => createMemoryBackplane({ maxBatches: 200 }),
    clock,
    advance: (ms) => clock.advance(ms),
    trimmedAfter: 200
  })
  for (const { title, run } of checks) await t.resolves(run(), title)
})
