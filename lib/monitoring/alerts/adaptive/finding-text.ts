import type { EnvelopeView } from '../envelope-types.js'
import type { SignalFinding } from './signal.js'
import type { SignalKind, SignalLabels } from './signal-kinds.js'

/**
 * Describes an unusual value and its baseline: `p99 of db query 7.1 s; 4.9 s above its baseline of 2.2 s, envelope so
 * far 1.3 s to 3.8 s`.
 */
export function describeFinding (kind: SignalKind, labels: SignalLabels, finding: SignalFinding): string {
  const { view, observed, baseline, low, high } = finding
  const { format, formatChange = format } = kind
  const side = observed < baseline ? 'below' : 'above'
  return `${kind.describe(labels)}${averageOf(view, kind)} ${format(observed)}; ` +
    `${formatChange(Math.abs(observed - baseline))} ${side} its baseline of ${format(baseline)}, ` +
    `envelope so far ${format(low)} to ${format(high)}`
}

const averageOf = (view: EnvelopeView, { unit }: SignalKind): string =>
  view === 'sample' ? '' : `, mean of 64 ${unit},`
