import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { createVirtualClock } from 'fastify-mission-control'
import { InputError, interruption, parseFlags, readNumber, runProgram, UsageError } from './flags.js'
import { play } from './replay/play.js'
import { HEARTBEAT_MS, startService } from './replay/service.js'
import { areAlike, readSurfaces, renderSurfaces, Tally, type Reading } from './replay/surfaces.js'
import { readTrace, TraceError, type Trace } from './traces/index.js'
import { Viewer } from './viewer.js'

const USAGE = `Usage: npm run replay -- FILE [--speed N] [--json]

Replays a recorded trace through the plugin on a virtual clock, and compares what its surfaces show in the end.

  FILE        requests of a generative-AI service (CSV), jobs of a CI service (JSON) or a run of a coding agent (JSON)
  --speed N   N times real time; without it as fast as it goes
  --json      the result as one JSON object`

interface Flags { file: string, speed: number, isJson: boolean }

interface Result extends Reading, Pick<Trace, 'format' | 'from' | 'to'> { file: string, events: number, tookMs: number, isAlike: boolean }

function readFlags (args: string[]): Flags {
  const { values, positionals } = parseFlags({
    args,
    allowPositionals: true,
    options: { speed: { type: 'string' }, json: { type: 'boolean', default: false } }
  })
  const [file] = positionals
  if (file === undefined || positionals.length > 1) throw new UsageError('give the path of one trace file')
  return { file, speed: values.speed === undefined ? Infinity : readNumber('--speed', values.speed, 0.01, 1_000_000), isJson: values.json }
}

async function loadTrace (file: string): Promise<Trace> {
  try {
    return readTrace(await readFile(file, 'utf8'))
  } catch (err) {
    if (err instanceof TraceError || (err as NodeJS.ErrnoException).syscall !== undefined) throw new InputError(`${file}: ${(err as Error).message}`)
    throw err
  }
}

async function replay (trace: Trace, { file, speed, isJson }: Flags): Promise<Result | undefined> {
  const startedMs = performance.now()
  const signal = interruption()
  const clock = createVirtualClock(trace.from)
  const { app, websocketUrl, prometheusUrl, missionStatsMs } = await startService(clock, speed)
  try {
    if (!isJson) announce(trace, [websocketUrl, prometheusUrl])
    const tally = new Tally()
    const viewer = await Viewer.connect(websocketUrl, (message) => tally.take(message))
    await viewer.subscribe(['mission_stats', 'mission_update'])
    await play(trace, { app, clock, speed, longestStepMs: HEARTBEAT_MS / 2, settle: () => viewer.settled(), signal })
    if (signal.aborted) return undefined
    clock.advance(missionStatsMs)
    await viewer.settled()
    const reading = await readSurfaces(app, tally, prometheusUrl)
    await viewer.close()
    const { format, from, to, events } = trace
    const tookMs = performance.now() - startedMs
    return { file: basename(file), format, from, to, events: events.length, tookMs, isAlike: areAlike(reading.surfaces), ...reading }
  } finally {
    await app.close()
  }
}

function announce ({ format, events, from, to }: Trace, urls: string[]): void {
  const days = (to - from) / 86_400_000
  const span = days < 1 ? `${((to - from) / 1_000).toFixed(0)} seconds` : `${days.toFixed(0)} days`
  console.log(`${format}: ${events.length.toLocaleString('en')} events in ${span}. Watch it at\n${urls.map((url) => `  ${url}`).join('\n')}\n`)
}

function render ({ surfaces, operations, meanDurationMs, isAlike, tookMs }: Result): string {
  const mean = meanDurationMs === null ? 'none has ended' : `${(meanDurationMs / 1_000).toFixed(1)} s`
  return `${renderSurfaces(surfaces)}

Operations: ${operations.success.toLocaleString('en')} succeeded, ${operations.error.toLocaleString('en')} failed. Mean duration of a mission: ${mean}.
The surfaces ${isAlike ? 'agree' : 'DIFFER'}. Took ${(tookMs / 1_000).toFixed(1)} s.`
}

await runProgram(USAGE, async () => {
  const flags = readFlags(process.argv.slice(2))
  const result = await replay(await loadTrace(flags.file), flags)
  if (result === undefined) return 130
  console.log(flags.isJson ? JSON.stringify(result) : render(result))
  return result.isAlike ? 0 : 1
})
