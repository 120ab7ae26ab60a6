/*
 * Replays what a service once did as missions of this plugin, on a virtual clock, and compares what its surfaces show in the end.
 *
 * Every recorded piece of work runs through `missions.spawn`: at its recorded start a function begins that waits for the recorded times,
 * runs its steps through `mission.task`, and ends as it did then. So it is the plugin that decides how a mission ends, from nothing but
 * what the function does:
 *
 *   it worked        the function returns                                                     completed
 *   it failed        the function throws an error with a code                                 error
 *   it was cancelled it is asked to end, and throws because its signal has aborted            cancelled, reason "cancelled"
 *   it was skipped   the same before it has done anything                                     cancelled, reason "skipped"
 *   it never ended   the function waits for ever and shows no life                            active and stalled, or as --on-stall says
 *
 * Which recorded outcome is which of these is said in `traces/`, by every format, and printed with the result. Skipped work counts as
 * cancelled everywhere, since a mission has no fourth way to end; its reason tells it apart, and the summary counts it apart.
 *
 * A mission stalls after ten minutes here, not after the five of the plugin's default: the work shows no life between the recorded
 * times, and in the traces this was made for the longest such silence is 567 seconds for a request of the generative-AI service, and
 * 171 seconds for a job of the CI service. So only what never ended stalls.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { InputError, interruption, runProgram } from './flags.js'
import { createTraceClock } from './replay/clock.js'
import { readFlags, USAGE, type Flags } from './replay/flags.js'
import { play } from './replay/play.js'
import { startService } from './replay/service.js'
import { renderAnnouncement, renderResult, type Result } from './replay/summary.js'
import { areAlike, readSurfaces } from './replay/surfaces.js'
import { Tally } from './replay/tally.js'
import { readTrace, TraceError, type Trace } from './traces/index.js'
import { Viewer } from './viewer.js'

async function loadTrace (file: string): Promise<Trace> {
  try {
    return readTrace(await readFile(file, 'utf8'))
  } catch (err) {
    if (err instanceof TraceError || (err as NodeJS.ErrnoException).syscall !== undefined) throw new InputError(`${file}: ${(err as Error).message}`)
    throw err
  }
}

async function replay (trace: Trace, { file, speed, isJson, stallMs, onStall }: Flags): Promise<Result | undefined> {
  const startedMs = performance.now()
  const signal = interruption()
  const clock = createTraceClock(trace.from)
  const { app, websocketUrl, prometheusUrl, missionStatsMs } = await startService(clock, speed, { stallMs, onStall })
  try {
    if (!isJson) console.log(renderAnnouncement(trace, [websocketUrl, prometheusUrl]))
    const tally = new Tally()
    const viewer = await Viewer.connect(websocketUrl, (message) => tally.take(message))
    await viewer.subscribe(['mission_stats', 'mission_update'])
    await play(trace, { app, clock, speed, stallMs, missionStatsMs, signal })
    if (signal.aborted) return undefined
    await viewer.settled()
    const reading = await readSurfaces(app, tally, prometheusUrl)
    await viewer.close()
    const { format, mapping, missions, from, to } = trace
    const tookMs = performance.now() - startedMs
    return { file: basename(file), format, mapping, from, to, missions: missions.length, tookMs, isAlike: areAlike(reading.surfaces), ...reading }
  } finally {
    await app.close()
  }
}

await runProgram(USAGE, async () => {
  const flags = readFlags(process.argv.slice(2))
  const result = await replay(await loadTrace(flags.file), flags)
  if (result === undefined) return 130
  console.log(flags.isJson ? JSON.stringify(result) : renderResult(result))
  return result.isAlike ? 0 : 1
})
