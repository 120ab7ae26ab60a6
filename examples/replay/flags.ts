import { parseFlags, readNumber, readWholeNumber, readWord, UsageError } from '../flags.js'
import type { StallOptions } from './service.js'

/** The help text. */
export const USAGE = `Usage: npm run replay -- FILE [--speed N] [--on-stall ACTION] [--stall-ms N] [--json]

Replays a recorded trace on a virtual clock, and compares the final counts of all interfaces of the plugin.

  FILE               requests of a generative-AI service (CSV), jobs of a CI service (JSON),
                     or a run of a coding agent (JSON)
  --speed N          N times real time; default: as fast as possible
  --on-stall ACTION  the action for stalled missions: flag (the default), cancel or error
  --stall-ms N       the time without activity until a mission stalls, in ms of the trace; default: 600000
  --json             print the result as one JSON object`

/** Longer than the longest period without activity of any recorded work that ended. */
const STALL_MS = 600_000
const LONGEST_STALL_MS = 2_147_483_647

export interface Flags extends StallOptions {
  file: string
  /** Multiple of real time; `Infinity` for as fast as possible. */
  speed: number
  isJson: boolean
}

/** @throws UsageError */
export function readFlags (args: string[]): Flags {
  const { values, positionals } = parseFlags({
    args,
    allowPositionals: true,
    options: {
      speed: { type: 'string' },
      'on-stall': { type: 'string', default: 'flag' },
      'stall-ms': { type: 'string', default: String(STALL_MS) },
      json: { type: 'boolean', default: false }
    }
  })
  const [file] = positionals
  if (file === undefined || positionals.length > 1) throw new UsageError('give the path of one trace file')
  return {
    file,
    speed: values.speed === undefined ? Infinity : readNumber('--speed', values.speed, 0.01, 1_000_000),
    onStall: readWord('--on-stall', values['on-stall'], ['flag', 'cancel', 'error']),
    stallMs: readWholeNumber('--stall-ms', values['stall-ms'], 1, LONGEST_STALL_MS),
    isJson: values.json
  }
}
