// How good the alerts are, and what the detector costs: `npm run bench:alerts -- [--json] [--only nab,noise,speed,evaluation,replay]`.
// Prints tables and exits with 1 if a figure misses its bound. With `--json` it prints one object instead.
import { parseArgs } from 'node:util'
import { Envelope } from '../dist/lib/monitoring/alerts/envelope.js'
import { measureEvaluation } from './alerts/evaluation.mjs'
import { readNabSeries } from './alerts/nab-data.mjs'
import { scoreNab } from './alerts/nab-score.mjs'
import { measureNoise } from './alerts/noise.mjs'

const SENSITIVITIES = ['max', 'high', 'normal', 'low']
const SPEED_SAMPLES = 1_000_000
const SPEED_ROUNDS = 7

const PARTS = { nab: measureNab, noise: () => measureNoise(() => new Envelope()), speed: measureSpeed, evaluation: measureEvaluation, replay: measureReplay }

/** The bounds of each part as `[name, value, least or most, bound]`. */
const BOUNDS = {
  nab: (scores) => [
    ['max: standard score', scores.max.standard, 'least', 69.4],
    ['max: low-FP score', scores.max.lowFalsePositives, 'least', 64.3],
    ['normal: standard score', scores.normal.standard, 'least', 57.8],
    ['normal: low-FP score', scores.normal.lowFalsePositives, 'least', 56],
    ['normal: false alarms', scores.normal.falseAlarms, 'most', 19],
    ['max with times: standard score', scores['max with times'].standard, 'least', 72.4],
    ['normal with times: standard score', scores['normal with times'].standard, 'least', 60.8],
    ['normal with times: false alarms', scores['normal with times'].falseAlarms, 'most', 19]
  ],
  noise: ({ mean }) => [['false alarms per 10,000 samples of noise', mean.learned, 'most', 0.5]],
  speed: ({ us, withTimesUs }) => [
    ['time per sample, µs', us, 'most', 0.5],
    ['time per sample with times, µs', withTimesUs, 'most', 0.5]
  ],
  evaluation: (scenes) => Object.entries(scenes).map(([scene, { percentOfCore }]) =>
    [`evaluation of ${scene}, % of a core`, percentOfCore, 'most', 0.5]),
  replay: ({ 'genai-requests.csv': requests }) => requests.skipped !== undefined
    ? []
    : [
        ['requests: alerts about active missions', requests.byRule.mission_active ?? 0, 'most', 4],
        ['requests: alerts a day', requests.alertsPerDay, 'most', 2],
        ['requests: stuck missions named once', requests.stuck.filter((id) => requests.named[id] === 1).length, 'least', requests.stuck.length]
      ]
}

/** The score by sensitivity: the samples alone, and with their times. */
function measureNab () {
  const { series, skip } = readNabSeries()
  if (skip !== undefined) return { skip }
  const rows = SENSITIVITIES.flatMap((sensitivity) => [
    [sensitivity, scoreSensitivity(series, sensitivity, false)],
    [`${sensitivity} with times`, scoreSensitivity(series, sensitivity, true)]
  ])
  return Object.fromEntries(rows)
}

function scoreSensitivity (series, sensitivity, hasTimes) {
  return scoreNab(series.map(({ values, times, windows }) => {
    const envelope = new Envelope({ sensitivity })
    const alerts = [...values.keys()].filter((row) => envelope.push(values[row], hasTimes ? times[row] : undefined).alert)
    return { rows: values.length, windows, alerts }
  }))
}

/** Median time per sample in µs. */
function measureSpeed () {
  const values = Float64Array.from({ length: SPEED_SAMPLES }, (_, i) => 100 + 10 * Math.sin(i / 100) + (i * 7_919 % 1_000) / 100)
  return { us: medianUs(values, () => undefined), withTimesUs: medianUs(values, (i) => i * 15_000) }
}

function medianUs (values, timeOf) {
  const rounds = Array.from({ length: SPEED_ROUNDS }, () => {
    const envelope = new Envelope()
    const startedMs = performance.now()
    for (let i = 0; i < values.length; i++) envelope.push(values[i], timeOf(i))
    return (performance.now() - startedMs) * 1_000 / values.length
  })
  return rounds.sort((a, b) => a - b)[SPEED_ROUNDS >> 1]
}

/** The rules of the plugin on recorded missions. */
async function measureReplay () {
  const { replay } = await import('./alerts/replay.mjs')
  return replay()
}

const { values: flags } = parseArgs({ options: { json: { type: 'boolean' }, only: { type: 'string' } } })
const names = flags.only?.split(',') ?? Object.keys(PARTS)
const unknown = names.filter((name) => !(name in PARTS))
if (unknown.length > 0) throw new Error(`--only takes ${Object.keys(PARTS).join(', ')}, not ${unknown.join(', ')}`)
const parts = {}
const bounds = []
for (const name of names) {
  const figures = parts[name] = await PARTS[name]()
  if (figures.skip === undefined) bounds.push(...BOUNDS[name](figures).map(readBound))
}
print()
process.exitCode = bounds.every(({ holds }) => holds) ? 0 : 1

function readBound ([name, value, kind, bound]) {
  return { name, value, [kind]: bound, holds: kind === 'least' ? value >= bound : value <= bound }
}

function print () {
  if (flags.json) {
    console.log(JSON.stringify({ parts, bounds }, null, 2))
    return
  }
  for (const [name, figures] of Object.entries(parts)) {
    console.log(figures.skip === undefined ? `\n${name}` : `\n${name}: skipped, ${figures.skip}`)
    if (figures.skip === undefined) console.table(roundAll(name === 'replay' ? Object.fromEntries(listAlerts(figures)) : figures))
  }
  if (bounds.length > 0) console.table(roundAll(bounds))
}

/** The alerts of each trace, numbered. */
function listAlerts (traces) {
  return Object.entries(traces).flatMap(([trace, { skipped, alerts = [] }]) => skipped !== undefined
    ? [[trace, { message: skipped }]]
    : alerts.map(({ rule, severity, startsAt, message }, at) => [`${trace} ${at + 1}`, { rule, severity, startsAt, message: message.slice(0, 80) }]))
}

/** The figures with two decimals. */
function roundAll (figures) {
  return JSON.parse(JSON.stringify(figures), (key, value) => typeof value === 'number' ? Math.round(value * 100) / 100 : value)
}
