/**
 * How far beyond its history a signal must go: so many mean moves from one sample to the next. `max` finds most and is
 * wrong most often.
 */
export type Sensitivity = 'low' | 'normal' | 'high' | 'max'

/** The side on which an excess counts. */
export type Direction = 'up' | 'down' | 'both'

export interface EnvelopeOptions {
  /** `normal` by default. */
  sensitivity?: Sensitivity
  /** An excess that does not matter, in the unit of the signal; 0 by default. */
  minDelta?: number
  /** `both` by default. */
  direction?: Direction
}

/** The value compared with its history: a single sample, the mean of about 64, or that mean by hour of day. */
export type EnvelopeView = 'sample' | 'level' | 'hour'

/** The judgement on one sample, in the view in which it is most unusual. */
export interface EnvelopeVerdict {
  /** From 1 on, the sample is unusual. */
  score: number
  /** Whether an alert starts: an unusual sample after 20 usual ones. */
  alert: boolean
  view: EnvelopeView
  /** The sample or the mean. */
  observed: number
  /** The expected value. */
  baseline: number
  /** The range of `observed` so far, relative to the baseline and without this sample. */
  low: number
  high: number
}
