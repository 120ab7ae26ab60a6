// The page of the plugin in Chromium: sizes, paint times, and the cost of many updates.
//
//   npm run bench:page                       a table
//   npm run bench:page -- --json             the figures as JSON
//   npm run bench:page -- --seconds 60       longer measurements
//   npm run bench:page -- --part memory      the memory alone, over 30 minutes of updates that are played 8 times as fast
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'
import { measureLoad, measureScrolling, measureUpdates } from './page/measurements.mjs'
import { measureMemory } from './page/memory.mjs'
import { startService } from './page/service.mjs'
import { readSizes } from './page/sizes.mjs'

const ARGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

// The bounds of the page; a figure above its bound fails the run.
const BOUNDS = {
  firstBytes: 40_960,
  bytes: 61_440,
  firstPaintMs: 300,
  interactiveMs: 500,
  coreShare: 0.3,
  longTasks: 0,
  heapGrowthMiB: 2,
  churnHeapGrowthMiB: 2,
  // 5,000 active missions, and the 2,000 that ended last.
  churnMostRows: 7_000
}

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '20' },
    part: { type: 'string', default: 'load' },
    minutes: { type: 'string', default: '30' },
    speed: { type: 'string', default: '8' },
    chromium: { type: 'string', default: process.env.CHROMIUM ?? '/usr/bin/chromium' }
  }
})
const seconds = Number(values.seconds)

const browser = await chromium.launch({ executablePath: values.chromium, args: ARGS })
const figures = { chromium: browser.version(), ...await readSizes() }
const service = await startService()
try {
  if (values.part === 'memory') {
    service.fill({ active: 5_000, ended: 2_000 })
    Object.assign(figures, await measureMemory(browser, service, { minutes: Number(values.minutes), speed: Number(values.speed) }))
  } else {
    service.fill({ active: 12, ended: 400 })
    Object.assign(figures, await measureLoad(browser, service))
    service.fill({ active: 5_000, ended: 2_000 })
    Object.assign(figures, await measureUpdates(browser, service, { updatesPerSecond: 200, seconds }))
    service.fill({ active: 10_000, ended: 0 })
    Object.assign(figures, await measureScrolling(browser, service))
  }
} finally {
  await browser.close()
  await service.close()
}

const failures = Object.entries(BOUNDS).filter(([name, bound]) => figures[name] > bound)
if (values.json) console.log(JSON.stringify({ ...figures, bounds: BOUNDS }, null, 2))
else {
  for (const [name, value] of Object.entries(figures)) {
    console.log(name.padEnd(20), String(value).padStart(12), BOUNDS[name] === undefined ? '' : `  at most ${BOUNDS[name]}`)
  }
}
for (const [name, bound] of failures) console.error(`${name} is ${figures[name]}, more than ${bound}`)
process.exitCode = failures.length === 0 ? 0 : 1
