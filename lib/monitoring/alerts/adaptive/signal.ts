import { Envelope } from '../envelope.js'
import type { EnvelopeVerdict, EnvelopeView, Sensitivity } from '../envelope-types.js'
import type { SignalKind, SignalLabels } from './signal-kinds.js'

/** Learning during a disturbance is this much slower, so that an outage does not soon become normal. */
const DISTURBED_PACE = 0.25
/** A disturbance is reported once it has lasted for so many samples, and has ended after so many usual ones. */
const CONFIRMED_AFTER = 2
const CALM_SAMPLES = 20
/** During a disturbance, a sample is usual up to this share of the range beyond it, and up to `minDelta`. */
const LEAVE_SHARE = 0.1
/** Without samples for so long, there is nothing left to report. */
const ABANDONED_MS = 3_600_000

/** A disturbance that goes on: the view that found it, with the range as it was before. */
export interface Disturbance {
  readonly view: EnvelopeView
  readonly low: number
  readonly high: number
  /** The number of unusual samples so far. */
  unusual: number
  /** The number of usual samples since the last unusual one. */
  calm: number
}

/** A signal as it is saved; JSON. */
export interface SavedSignal {
  rule: string
  labels: SignalLabels
  /** When the last sample was taken, in ms since 1970. */
  sampledAt: number
  envelope: number[]
  disturbance?: Disturbance | undefined
}

/** An unusual value of a signal, in the unit of the signal. */
export interface SignalFinding {
  readonly view: EnvelopeView
  readonly observed: number
  readonly baseline: number
  readonly low: number
  readonly high: number
}

export interface SignalDeps {
  kind: SignalKind
  labels: SignalLabels
  sensitivity: Sensitivity
  minDelta: number
}

/** One signal: its envelope, and the disturbance that goes on. */
export class Signal {
  readonly kind: SignalKind
  readonly labels: SignalLabels
  readonly #envelope: Envelope
  readonly #minDelta: number
  #disturbance: Disturbance | undefined
  #sampledAt = 0

  constructor ({ kind, labels, sensitivity, minDelta }: SignalDeps) {
    this.kind = kind
    this.labels = labels
    // A ratio is a difference of logarithms.
    this.#minDelta = kind.ratioFrom === undefined ? minDelta : Math.log1p(minDelta)
    this.#envelope = new Envelope({ sensitivity, minDelta: this.#minDelta, direction: kind.direction })
  }

  /** Takes a sample at `now`, in ms since 1970. */
  take (value: number, now: number): void {
    this.#sampledAt = now
    const isDisturbed = this.#disturbance !== undefined
    const verdict = this.#envelope.push(this.#scale(value), undefined, isDisturbed ? DISTURBED_PACE : 1)
    if (this.#disturbance !== undefined) this.#disturbance = this.#continue(this.#disturbance)
    else if (verdict.alert) this.#disturbance = begin(verdict)
  }

  /** The unusual values at `now`. */
  finding (now: number): SignalFinding | undefined {
    if (this.isAbandoned(now)) this.#disturbance = undefined
    const disturbance = this.#disturbance
    if (disturbance === undefined || disturbance.unusual < CONFIRMED_AFTER) return undefined
    const { observed, baseline } = this.#envelope.look(disturbance.view)
    return {
      view: disturbance.view,
      observed: this.#unscale(observed),
      baseline: this.#unscale(baseline),
      low: this.#unscale(baseline + disturbance.low),
      high: this.#unscale(baseline + disturbance.high)
    }
  }

  isAbandoned (now: number): boolean {
    return now - this.#sampledAt > ABANDONED_MS
  }

  save (): SavedSignal {
    const { kind: { rule }, labels } = this
    const disturbance = this.#disturbance
    return {
      rule,
      labels,
      sampledAt: this.#sampledAt,
      envelope: this.#envelope.save().map(shorten),
      ...disturbance !== undefined && { disturbance: { ...disturbance } }
    }
  }

  restore ({ sampledAt, envelope, disturbance }: SavedSignal): void {
    if (!this.#envelope.restore(envelope)) return
    this.#sampledAt = sampledAt
    this.#disturbance = disturbance && { ...disturbance }
  }

  #continue (disturbance: Disturbance): Disturbance | undefined {
    const { view, low, high, unusual, calm } = disturbance
    const slack = this.#minDelta + LEAVE_SHARE * (high - low)
    const isUnusual = isOutside(this.#envelope.look(view), low - slack, high + slack, this.kind.direction)
    // A single unusual sample is no disturbance.
    if (!isUnusual && unusual < CONFIRMED_AFTER) return undefined
    const next = isUnusual ? { unusual: unusual + 1, calm: 0 } : { unusual, calm: calm + 1 }
    return next.calm < CALM_SAMPLES ? { view, low, high, ...next } : undefined
  }

  #scale (value: number): number {
    const { ratioFrom } = this.kind
    return ratioFrom === undefined ? value : Math.log(value + ratioFrom)
  }

  // No signal is below zero, though its baseline with a range around it may be.
  #unscale (value: number): number {
    const { ratioFrom } = this.kind
    return Math.max(0, ratioFrom === undefined ? value : Math.exp(value) - ratioFrom)
  }
}

const begin = ({ view, low, high }: EnvelopeVerdict): Disturbance => ({ view, low, high, unusual: 1, calm: 0 })

function isOutside (
  { observed, baseline }: EnvelopeVerdict, low: number, high: number, direction: SignalKind['direction']
): boolean {
  const distance = observed - baseline
  return (direction !== 'down' && distance > high) || (direction !== 'up' && distance < low)
}

/** Seven digits are enough to go on with. */
const shorten = (value: number): number => Number(value.toPrecision(7))
