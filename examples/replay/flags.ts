import { parseFlags, readNumber, readWholeNumber, readWord, UsageError } from '../flags.js'
import type { StallOptions } from './service.js'

/** What the command line may say. */
export const USAGE = `Usage: npm run replay -- FILE [--speed N] [--on-stall WHAT] [--stall-ms N] [--json]

Replays a recorded trace through the plugin on a virtual clock, and compares what its surfaces show in the end.

  FILE             requests of a generative-AI service (CSV), jobs of a CI service (JSON) or a run of a coding agent (JSON)
  --speed N        N times real time; without it as fast as it goes
  --on-stall WHAT  what becomes of missions that show no life: flag (the default), cancel or error
  --stall-ms N     after how many ms of the trace; 600000 without it
  --json           the result as one JSON object`

/** Longer than the longest silence of recorded work that ended, shorter than for ever. */
const STALL_MS = 600_000
const LONGEST_STALL_MS = 2_147_483_647

export interface Flags extends StallOptions {
  file: string
  /** Times real time; `Infinity` for as fast as it goes. */
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
