import type { Anomaly } from '../../../../schemas/anomaly.js'
import type { AdaptiveOptions } from '../../../../schemas/options/adaptive.js'
import { formatDuration, formatShare } from '../alert-rule.js'
import type { Direction } from '../envelope-types.js'

/** The names of the adaptive rules. */
export type AdaptiveRule =
  'adaptive_active' | 'adaptive_starts' | 'adaptive_endings' |
  'adaptive_errors' | 'adaptive_latency' | 'adaptive_duration'

/** The identity of a signal within its rule. */
export type SignalLabels = Readonly<Record<string, string>>

/** The properties shared by all signals of one rule. */
export interface SignalKind {
  readonly rule: AdaptiveRule
  readonly category: Anomaly['category']
  readonly severity: 'info' | 'warning'
  readonly direction: Direction
  /** Its name in `minDelta`. */
  readonly option: keyof AdaptiveOptions['minDelta']
  /** Whom it wakes, and when. */
  readonly wakes: string
  readonly metric: string
  /**
   * Set for durations, in ms. They are compared by ratio, as logarithms, and differences that are small against this
   * value do not matter.
   */
  readonly ratioFrom?: number
  /** The unit of one sample in averages, such as `minutes`. */
  readonly unit: string
  describe (labels: SignalLabels): string
  format (value: number): string
  /** A difference of two values; as a value by default. */
  formatChange? (value: number): string
}

const formatCount = (value: number): string => String(Math.round(value * 10) / 10)

/** Every adaptive rule. The load of a service is information; its errors and durations are a warning. */
export const SIGNAL_KINDS: Readonly<Record<AdaptiveRule, SignalKind>> = {
  adaptive_active: {
    rule: 'adaptive_active',
    category: 'mission',
    severity: 'info',
    direction: 'up',
    option: 'active',
    wakes: 'Nobody: it informs the owner of the service that more missions are active than ever before.',
    metric: 'active',
    unit: 'minutes',
    describe: () => 'active missions',
    format: formatCount
  },
  adaptive_starts: {
    rule: 'adaptive_starts',
    category: 'mission',
    severity: 'info',
    direction: 'both',
    option: 'starts',
    wakes: 'Nobody: it informs the owner of the service that many more or fewer missions start than usual.',
    metric: 'starts_per_minute',
    unit: 'minutes',
    describe: () => 'missions started per minute',
    format: formatCount
  },
  adaptive_endings: {
    rule: 'adaptive_endings',
    category: 'mission',
    severity: 'info',
    direction: 'down',
    option: 'endings',
    wakes: 'Nobody: it informs the owner of the service that fewer missions end than usual.',
    metric: 'endings_per_minute',
    unit: 'minutes',
    describe: () => 'missions ended per minute',
    format: formatCount
  },
  adaptive_errors: {
    rule: 'adaptive_errors',
    category: 'mission',
    severity: 'warning',
    direction: 'up',
    option: 'errorRatio',
    wakes: 'The person on call during working hours, when a larger share of missions fails than ever before.',
    metric: 'error_ratio',
    unit: 'minutes',
    describe: () => 'share of failed missions',
    format: formatShare,
    formatChange: (value) => `${formatCount(value * 100)} percentage points`
  },
  adaptive_latency: {
    rule: 'adaptive_latency',
    category: 'performance',
    severity: 'warning',
    direction: 'up',
    option: 'latency',
    wakes: 'The person on call during working hours, when an operation takes longer than ever before.',
    metric: 'latency_ms',
    ratioFrom: 50,
    unit: 'minutes',
    describe: ({ percentile, component, operation }) => `${percentile} of ${component} ${operation}`,
    format: formatDuration
  },
  adaptive_duration: {
    rule: 'adaptive_duration',
    category: 'performance',
    severity: 'warning',
    direction: 'up',
    option: 'duration',
    wakes: 'The developers, when the missions of a name take longer than ever before.',
    metric: 'duration_ms',
    ratioFrom: 1_000,
    unit: 'samples',
    describe: ({ name }) => `median duration of missions ${name}`,
    format: formatDuration
  }
}
