import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

// The series are not part of this project. Put them next to it to measure.
const path = resolve(fileURLToPath(new URL('../../..', import.meta.url)), 'shared/data/nab-dev.ndjson.gz')

/**
 * Labelled series of the Numenta Anomaly Benchmark, or why there are none: `{ series }` or `{ skip }`. Each series has a
 * `name`, `values`, `times` in ms and `windows`, the first and last index of each labelled anomaly.
 */
export function readNabSeries () {
  if (!existsSync(path)) return { skip: `no labelled series at ${path}` }
  const lines = gunzipSync(readFileSync(path)).toString().trim().split('\n')
  return { series: lines.map((line) => readSeries(JSON.parse(line))) }
}

function readSeries ({ name, category, windows, t, x }) {
  let seconds = 0
  return { name, category, windows, values: x, times: t.map((step) => (seconds += step) * 1_000) }
}
