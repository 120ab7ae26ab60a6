import { setTimeout as sleep } from 'node:timers/promises'

const LOADS = 7
const VIEWPORT = { width: 1440, height: 900 }

const WATCH = `
  window.longTasks = []
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) longTasks.push(Math.round(duration)) })
    .observe({ type: 'longtask', buffered: true })
  const look = () => {
    const isLive = document.querySelector('.connection-text')?.textContent === 'live'
    if (isLive && document.querySelector('tr.mission') !== null) window.interactiveMs = performance.now()
    else requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
`

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
export const round = (value, digits = 0) => Number(value.toFixed(digits))

/** Opens the page, and waits until it is live and its table has rows. */
export async function open (browser, { url }) {
  const context = await browser.newContext({ viewport: VIEWPORT })
  const page = await context.newPage()
  await page.addInitScript(WATCH)
  await page.goto(url)
  await page.waitForFunction(() => globalThis.interactiveMs !== undefined, undefined, { timeout: 60_000 })
  return page
}

/** Medians of visits with an empty cache. Interactive: the page is live and its table has rows. */
export async function measureLoad (browser, service) {
  const paints = []
  const interactive = []
  for (let i = 0; i < LOADS; i++) {
    const page = await open(browser, service)
    paints.push(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    interactive.push(await page.evaluate('window.interactiveMs'))
    await page.context().close()
  }
  return { firstPaintMs: round(median(paints)), interactiveMs: round(median(interactive)) }
}

const MIB = 1_048_576

/** The CPU time and memory of the page while it receives updates. `coreShare` is the main thread of the page. */
export async function measureUpdates (browser, service, { updatesPerSecond, seconds }) {
  const page = await open(browser, service)
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  const read = async () => Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]))
  const readHeap = async () => {
    await session.send('HeapProfiler.collectGarbage')
    return (await read()).JSHeapUsedSize / MIB
  }
  const stop = service.report(updatesPerSecond)
  await sleep(5_000)
  const heapBefore = await readHeap()
  await page.evaluate('window.longTasks.length = 0')
  const before = await read()
  await sleep(seconds * 1_000)
  const after = await read()
  const longTasks = await page.evaluate('window.longTasks')
  const heapAfter = await readHeap()
  const sent = stop()
  await page.context().close()
  return {
    updates: sent,
    coreShare: round((after.TaskDuration - before.TaskDuration) / (after.Timestamp - before.Timestamp), 3),
    longTasks: longTasks.length,
    longestTaskMs: Math.max(0, ...longTasks),
    heapMiB: round(heapAfter, 1),
    heapGrowthMiB: round(heapAfter - heapBefore, 1)
  }
}

/** Scrolls through all rows by 400 px a frame: how many are drawn at once, and the frames that came late. */
export async function measureScrolling (browser, service) {
  const page = await open(browser, service)
  await page.waitForTimeout(2_000)
  const { frames, mostRows } = await page.evaluate(`new Promise((resolve) => {
    const frames = []
    let mostRows = 0
    let last = performance.now()
    const step = (now) => {
      frames.push(now - last)
      last = now
      mostRows = Math.max(mostRows, document.querySelectorAll('tr.mission').length)
      scrollBy(0, 400)
      if (frames.length < 300) requestAnimationFrame(step)
      else resolve({ frames: frames.slice(1), mostRows })
    }
    requestAnimationFrame(step)
  })`)
  const rowCount = Number(await page.locator('table.missions').getAttribute('aria-rowcount')) - 1
  await page.context().close()
  const mean = frames.reduce((sum, ms) => sum + ms, 0) / frames.length
  return { rowCount, mostRows, framesPerSecond: round(1_000 / mean, 1), lateFrames: frames.filter((ms) => ms > 25).length }
}
