/**
 * The object in which all copies of `@opentelemetry/api` 1.x of a process find each other. It is there once the host
 * has set up tracing, so the plugin needs neither the package nor the copy that the host has installed.
 */
const API = Symbol.for('opentelemetry.js.api.1')
/** The key of the active span in a context of OpenTelemetry. */
const SPAN = Symbol.for('OpenTelemetry Context Key SPAN')

const SAMPLED = 1
const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/

interface SpanContext { traceId?: unknown, traceFlags?: unknown }
interface TracingApi {
  context?: { active (): { getValue (key: symbol): { spanContext (): SpanContext } | undefined } }
}

/** The id of the trace that is active in the host; `undefined` without one, and if it is not sampled. */
export function activeTraceId (): string | undefined {
  const api = (globalThis as { [API]?: TracingApi })[API]
  if (api === undefined) return undefined
  try {
    const { traceId, traceFlags } = api.context?.active().getValue(SPAN)?.spanContext() ?? {}
    const isSampled = (Number(traceFlags) & SAMPLED) === SAMPLED
    return isSampled && typeof traceId === 'string' && TRACE_ID.test(traceId) ? traceId : undefined
  } catch {
    // A context manager of the host must not make a report fail.
    return undefined
  }
}
