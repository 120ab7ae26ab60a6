/*
 * Replays recorded work as missions on a virtual clock, and compares the final counts of all interfaces of the plugin.
 *
 * Each recorded piece of work is a function that runs with `missions.spawn` from its recorded start. It waits for the
 * recorded times, runs its steps with `mission.task`, and ends in the recorded way. The plugin derives the status of
 * the mission from the behaviour of the function only:
 *
 *   recorded outcome   function                                          status of the mission
 *   succeeded          returns                                           completed
 *   failed             throws an error with a code                       error
 *   cancelled          is cancelled and throws the reason of its signal  cancelled, reason "cancelled"
 *   skipped            is cancelled before it does any work              cancelled, reason "skipped"
 *   never ended        never settles and shows no activity               active and stalled, or as set by --on-stall
 *
 * Each format in `traces/` maps its recorded outcomes to these, and the result includes the mapping. A mission has no
 * status for skipped work, so it counts as cancelled. The summary counts it separately by its reason.
 *
 * Missions stall after ten minutes here, instead of the default of five, because the functions show no activity between
 * the recorded times. The longest such period is 567 seconds for a request of the generative-AI service and 171 seconds
 * for a job of the CI service, so only work that never ended stalls.
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
    const isInvalid = err instanceof TraceError || (err as NodeJS.ErrnoException).syscall !== undefined
    throw isInvalid ? new InputError(`${file}: ${(err as Error).message}`) : err
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
    const isAlike = areAlike(reading.surfaces)
    return { file: basename(file), format, mapping, from, to, missions: missions.length, tookMs, isAlike, ...reading }
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
