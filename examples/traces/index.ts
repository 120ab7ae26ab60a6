import { ciJobs } from './ci-jobs.js'
import { codingAgentRun } from './coding-agent-run.js'
import { genaiRequests } from './genai-requests.js'
import { TraceError, type TraceFormat, type TraceMission } from './trace.js'

export { TraceError, type Stage, type TraceMission } from './trace.js'

const FORMATS: readonly TraceFormat[] = [genaiRequests, ciJobs, codingAgentRun]

/** A recorded trace: at least one mission, in the order of their start. `from` is the first start, `to` the last thing recorded. */
export interface Trace { format: string, mapping: Record<string, string>, missions: TraceMission[], from: number, to: number }

/**
 * Reads a trace in whichever of the formats it has; the content tells, not the file's name.
 *
 * @throws TraceError with the line that is wrong
 */
export function readTrace (text: string): Trace {
  const format = FORMATS.find((one) => one.recognises(text))
  if (format === undefined) throw new TraceError(1, 'this is neither a CSV file whose first column is gmt_create, nor a JSON list, nor a JSON object')
  // The sort is stable: what began at one time stays in the order of the file.
  const missions = format.read(text).sort((a, b) => a.startsAt - b.startsAt)
  if (missions.length === 0) throw new TraceError(1, 'the trace has no missions')
  const to = missions.reduce((latest, { endsAt }) => Math.max(latest, endsAt), -Infinity)
  return { format: format.name, mapping: format.mapping, missions, from: missions[0]!.startsAt, to }
}
