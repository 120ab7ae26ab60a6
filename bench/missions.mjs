// The cost of missions, and whether it grows with their number: `npm run build && node bench/missions.mjs [--json]`.
// Prints a table and exits with 1 if a figure exceeds its bound. With `--json` it prints one object instead.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const ROUNDS = 40
const WARM_UP_ROUNDS = 12
const NAMES = ['report', 'progress', 'spread', 'anywhere', 'listened', 'life', 'run', 'scrape']
const SCENES = ['thousand', 'ever', 'kept']
const MOST_REPORT_NS = 3_000
const MOST_RATIO = 1.5

const subjectPath = fileURLToPath(new URL('missions/subject.mjs', import.meta.url))

function openSubject (scene) {
  const child = fork(subjectPath, [scene], { execArgv: ['--expose-gc', '--max-old-space-size=6144'] })
  child.on('exit', (code) => { if (code !== 0) throw new Error(`the process for "${scene}" ended with ${code}`) })
  return child
}

async function ask (child, name) {
  if (name !== undefined) child.send(name)
  const [answer] = await once(child, 'message')
  return answer
}

/** The figures of a scene that sends one message. */
async function readOnce (scene) {
  const child = openSubject(scene)
  const figures = await ask(child)
  child.disconnect()
  await once(child, 'exit')
  return figures
}

/** Figures by scene and name, in ns. The scenes take turns at every sample, so a noisy moment affects all of them. */
async function readSamples () {
  const children = SCENES.map(openSubject)
  await Promise.all(children.map((child) => ask(child)))
  const emptyFigures = () => Object.fromEntries(NAMES.map((name) => [name, []]))
  const figures = Object.fromEntries(SCENES.map((scene) => [scene, emptyFigures()]))
  for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
    for (const name of NAMES) {
      for (const [i, child] of children.entries()) {
        const sample = await ask(child, name)
        if (round >= 0) figures[SCENES[i]][name].push(...sample)
      }
    }
  }
  for (const child of children) child.disconnect()
  return figures
}

const summarize = (figures, reduce) => mapValues(figures, (byName) => mapValues(byName, reduce))

const mapValues = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]))

function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

const atMillion = ({ ever, kept }, name) => Math.max(ever[name], kept[name])

function toJson (medians, { bytes }) {
  return {
    reportNs: Math.round(medians.thousand.report),
    reportNsAtMillion: Math.round(atMillion(medians, 'report')),
    scrapeMs: roundMs(medians.thousand.scrape),
    scrapeMsAtMillion: roundMs(atMillion(medians, 'scrape')),
    bytesPerRetainedMission: Math.round(bytes)
  }
}

const roundMs = (ns) => Math.round(ns / 1_000) / 1_000

function printTable (medians, means, { retained, retainedRun, flat }) {
  const { thousand, ever, kept } = medians
  const inMs = (ns) => `${roundMs(ns)} ms`
  const inNs = (ns) => `${Math.round(ns)} ns`
  const row = (what, name, show, bound) =>
    [what, ...[thousand, ever, kept].map((scene) => show(scene[name])), ratio(name), bound]
  const ratio = (name) => (atMillion(medians, name) / thousand[name]).toFixed(2)
  const megabytes = (bytes) => `${(bytes / 1_048_576).toFixed(1)} MiB`
  const growth = flat.heaps.at(-1) - flat.heaps[0]
  const rows = [
    ['CPU time, medians', '1,000', '1,000,000 ever', '1,000,000 kept', 'ratio', 'bound'],
    row('report by id, newest 1,000', 'report', inNs, `${MOST_REPORT_NS} ns, ratio ${MOST_RATIO}`),
    row('report by id, 1,000 spread over all', 'spread', inNs, ''),
    row('report by id, any of all', 'anywhere', inNs, ''),
    row('mission.progress, newest 1,000', 'progress', inNs, `${MOST_REPORT_NS} ns, ratio ${MOST_RATIO}`),
    row('mission.progress, one listener', 'listened', inNs, ''),
    row('start and complete', 'life', inNs, ''),
    row('run of an empty function', 'run', inNs, ''),
    row('scrape: render() and stats()', 'scrape', inMs, `ratio ${MOST_RATIO}`)
  ]
  for (const [what, ...cells] of rows) {
    console.log(what.padEnd(36) + cells.map((cell, i) => i < 4 ? cell.padStart(16) : `   ${cell}`).join(''))
  }
  const all = (name, show) => SCENES.map((scene) => show(means[scene][name])).join(', ')
  const [bytes, bytesOfRun] = [Math.round(retained.bytes), Math.round(retainedRun.bytes)]
  const [heapBefore, heapAfter] = [megabytes(flat.heaps[0]), megabytes(flat.heaps.at(-1))]
  console.log('\nmeans, including every garbage collection: ' +
    `report ${all('report', inNs)}; scrape ${all('scrape', inMs)}`)
  console.log(`heap per ended mission that is kept: ${bytes} bytes (through run: ${bytesOfRun})`)
  console.log('heap after 20,000 and after 200,000 missions under the default retention: ' +
    `${heapBefore}, ${heapAfter} (${growth} bytes more)`)
}

/** Whether all bounds hold. */
function holds (medians) {
  const within = (name) => atMillion(medians, name) <= medians.thousand[name] * MOST_RATIO
  const isFast = (name) => Math.max(medians.thousand[name], atMillion(medians, name)) <= MOST_REPORT_NS
  return ['report', 'progress', 'scrape'].every(within) && ['report', 'progress'].every(isFast)
}

const isJson = process.argv.includes('--json')
const samples = await readSamples()
const medians = summarize(samples, median)
const retained = await readOnce('retained')
if (isJson) console.log(JSON.stringify(toJson(medians, retained)))
else {
  const retainedRun = await readOnce('retainedRun')
  printTable(medians, summarize(samples, mean), { retained, retainedRun, flat: await readOnce('flat') })
  process.exitCode = holds(medians) ? 0 : 1
}
