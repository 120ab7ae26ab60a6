import { ciJobs } from './ci-jobs.js'
import { codingAgentRun } from './coding-agent-run.js'
import { genaiRequests } from './genai-requests.js'
import { TraceError, type TraceEvent, type TraceFormat } from './trace.js'

export { TraceError, type TraceEvent }

const FORMATS: readonly TraceFormat[] = [genaiRequests, ciJobs, codingAgentRun]

/** A recorded trace: at least one event, in the order of their time. */
export interface Trace { format: string, events: TraceEvent[], from: number, to: number }

/**
 * Reads a trace in whichever of the formats it has; the content tells, not the file's name.
 *
 * @throws TraceError with the line that is wrong
 */
export function readTrace (text: string): Trace {
  const format = FORMATS.find((one) => one.recognises(text))
  if (format === undefined) throw new TraceError(1, 'this is neither a CSV file whose first column is gmt_create, nor a JSON list, nor a JSON object')
  // The sort is stable: what happened at one time stays in the order of the file.
  const events = format.read(text).sort((a, b) => a.at - b.at)
  if (events.length === 0) throw new TraceError(1, 'the trace has no events')
  return { format: format.name, events, from: events[0]!.at, to: events.at(-1)!.at }
}
