import { ciJobs } from './ci-jobs.js'
import { codingAgentRun } from './coding-agent-run.js'
import { genaiRequests } from './genai-requests.js'
import { TraceError, type TraceFormat, type TraceMission } from './trace.js'

export { TraceError, type Stage, type TraceMission } from './trace.js'

const FORMATS: readonly TraceFormat[] = [genaiRequests, ciJobs, codingAgentRun]

/** A recorded trace: at least one mission, ordered by start. `from` is the first start, `to` the last recorded time. */
export interface Trace {
  format: string
  mapping: Record<string, string>
  missions: TraceMission[]
  from: number
  to: number
}

/**
 * Reads a trace. Its format is detected by its content, not by the file name.
 *
 * @throws TraceError with the invalid line
 */
export function readTrace (text: string): Trace {
  const format = FORMATS.find((one) => one.recognises(text))
  if (format === undefined) {
    const expected = 'a CSV file whose first column is gmt_create, a JSON list or a JSON object'
    throw new TraceError(1, `unknown format; expected ${expected}`)
  }
  // The sort is stable, so missions with equal start times keep the order of the file.
  const missions = format.read(text).sort((a, b) => a.startsAt - b.startsAt)
  if (missions.length === 0) throw new TraceError(1, 'the trace has no missions')
  const to = missions.reduce((latest, { endsAt }) => Math.max(latest, endsAt), -Infinity)
  return { format: format.name, mapping: format.mapping, missions, from: missions[0]!.startsAt, to }
}
