import { setTimeout as sleep } from 'node:timers/promises'
import { findCopies } from './copies.js'
import { awaitInstallation } from './installation.js'
import { checkMainFiles } from './main-files.js'
import { untilDone, type WorkOptions } from './work.js'

/** Pause between two missions of one kind in ms. */
const PAUSE_MS = 8_000

/** Repeats the missions beside the rounds, one of each kind at a time, until `signal` aborts. */
export async function runUpkeep (work: WorkOptions, signal: AbortSignal): Promise<void> {
  await Promise.all([
    repeat(async () => { await untilDone(findCopies(work), signal) }, signal),
    repeat(() => checkMainFiles(work, signal), signal),
    repeat(async () => { await untilDone(awaitInstallation(work), signal) }, signal)
  ])
}

async function repeat (run: () => Promise<void>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await run()
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }
}
