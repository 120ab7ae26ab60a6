import t from 'tap'
import { backplaneConformance, createMemoryBackplane, type Backplane } from '../lib/backplane/index.js'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import { BROKEN_BACKPLANES } from './support/broken-backplanes.js'

const KEPT_BATCHES = 200

function checksOf (createBackplane: () => Backplane, timeoutMs = 10_000) {
  const clock = createVirtualClock(Date.UTC(2026, 0, 1))
  return backplaneConformance({ createBackplane, clock, advance: (ms) => clock.advance(ms), trimmedAfter: KEPT_BATCHES, timeoutMs })
}

t.test('the memory backplane keeps the contract', async (t) => {
  for (const { title, run } of checksOf(() => createMemoryBackplane({ maxBatches: KEPT_BATCHES }))) await t.resolves(run(), title)
})

t.test('the suite names each breach of the contract', async (t) => {
  for (const { flaw, title, create } of BROKEN_BACKPLANES) {
    const check = checksOf(create, 100).find((one) => one.title.startsWith(title))
    const err = await check?.run().then(() => undefined, (err: unknown) => err as Error)
    t.ok(err, `${flaw}: ${check?.title}`)
  }
})
