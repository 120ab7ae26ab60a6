import { setTimeout as sleep } from 'node:timers/promises'
import { open, round } from './measurements.mjs'

const MIB = 1_048_576
const SAMPLES = 10
/** Missions that have ended and that the page keeps. */
const MAX_ENDED = 2_000

/**
 * The heap of the page, after garbage collections, while it receives the updates of `minutes` at 200 a second, `speed`
 * times as fast. The first sample comes once the page knows as many missions as it keeps.
 */
export async function measureMemory (browser, service, { minutes, speed }) {
  const active = 5_000
  const page = await open(browser, service)
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  const read = async () => {
    await session.send('HeapProfiler.collectGarbage')
    const { metrics } = await session.send('Performance.getMetrics')
    const { JSHeapUsedSize, Nodes } = Object.fromEntries(metrics.map(({ name, value }) => [name, value]))
    return { heapMiB: JSHeapUsedSize / MIB, nodes: Nodes }
  }
  const countRows = async () => Number(await page.locator('table.missions').getAttribute('aria-rowcount')) - 1
  const stop = service.report(200 * speed)
  while (await countRows() < active + MAX_ENDED) await sleep(500)
  const samples = [await read()]
  const rows = []
  for (let i = 0; i < SAMPLES; i++) {
    await sleep(minutes * 60_000 / speed / SAMPLES)
    samples.push(await read())
    rows.push(await countRows())
  }
  const sent = stop()
  await page.locator('.connection-text', { hasText: /^live$/ }).waitFor()
  await page.context().close()
  const heaps = samples.map(({ heapMiB }) => round(heapMiB, 1))
  return {
    churnMinutes: minutes,
    churnSpeed: speed,
    churnUpdates: sent,
    churnHeapsMiB: heaps.join(' '),
    churnHeapGrowthMiB: round(heaps.at(-1) - heaps[0], 1),
    churnNodeGrowth: samples.at(-1).nodes - samples[0].nodes,
    churnMostRows: Math.max(...rows)
  }
}
