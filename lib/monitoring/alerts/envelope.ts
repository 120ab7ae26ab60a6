import type { Direction, EnvelopeOptions, EnvelopeVerdict, EnvelopeView, Sensitivity } from './envelope-types.js'

interface Tolerance { noise: number, minDelta: number, direction: Direction }
interface Step { pace: number, margin: number, floor: number }

const NOISE: Readonly<Record<Sensitivity, number>> = { max: 0, high: 0.8, normal: 2, low: 4 }

/** Weights of a new sample in averages of about 64 and 500 samples. */
const LEVEL_WEIGHT = 2 / 65
const SLOW_WEIGHT = 2 / 501
/** The excess that is allowed beside the noise, as a share of the range; more after recent alerts and at the start. */
const MARGIN = 0.002
const BACKOFF = 5
const BACKOFF_DECAY = Math.exp(-1 / 1_000)
const YOUTH = 300
/** An old extreme fades at this pace, and only beyond six times the root mean square. */
const FADE = 1 / 16_000
const BAND = 6
const QUIET_SAMPLES = 20
const FIRST_SCORED_SAMPLE = 31
const FIRST_ALERT_SAMPLE = 100
/** Its square is finite. */
const LARGEST = 1e150

// The state: four numbers of the signal and six of each view. The third view and all that follows need times.
const COUNT = 0
const MEAN = 1
const LOAD = 2
const CALM = 3
const SAMPLE_VIEW = 4
const LEVEL_VIEW = 10
const SIZE_WITHOUT_TIMES = 16
const HOUR_VIEW = 16
// Of the part of the signal that the hour of day does not explain, the rest: count and mean square.
const REST_COUNT = 22
const REST_SQUARE = 23
// The current hour, the sum and count of its samples; of each hour the mean distance from the baseline, and its days.
const HOUR = 24
const HOUR_SUM = 25
const HOUR_COUNT = 26
const HOUR_MEANS = 27
const HOURS = 24
const HOUR_DAYS = 51
const SIZE = 75
// Places in the numbers of a view: the average of its values; the range, mean square, mean move and last value of the
// distance of that average from the expected value.
const AVERAGE = 0
const LOW = 1
const HIGH = 2
const SQUARE = 3
const MOVE = 4
const LAST = 5

const HOUR_MS = 3_600_000
const PROFILE_WEIGHT = 2 / 11
const LEAST_DAYS = 2
/** The view by hour counts after so many samples, where the profile explains 40 % of the variance. */
const LEAST_RESTS = 1_000
const MOST_UNEXPLAINED = 0.6

/**
 * Detects unusual values of one signal, sample by sample. Single samples, and the mean of about 64, are compared with
 * the widest range that they had before. The range is relative to a baseline of about 500 samples, so a slow trend is
 * not unusual. With times, the mean is also compared with the same hour (UTC) of the last ten days, where the hour of
 * day explains much of the signal.
 *
 * Constant time and memory. Samples and times that are not finite are skipped. No alert before the 100th sample. The
 * compiled file imports nothing, so it can be loaded alone.
 */
export class Envelope {
  readonly #state = new Float64Array(SIZE)
  readonly #step: Step = { pace: 1, margin: 0, floor: 0 }
  readonly #sample: View
  readonly #level: View
  readonly #hour: View

  /** @throws RangeError if the sensitivity is unknown */
  constructor ({ sensitivity = 'normal', minDelta = 0, direction = 'both' }: EnvelopeOptions = {}) {
    const noise = NOISE[sensitivity]
    if (noise === undefined) throw new RangeError(`sensitivity must be low, normal, high or max, not ${sensitivity}`)
    const tolerance = { noise, minDelta, direction }
    this.#sample = new View('sample', this.#state.subarray(SAMPLE_VIEW), 1, tolerance)
    this.#level = new View('level', this.#state.subarray(LEVEL_VIEW), LEVEL_WEIGHT, tolerance)
    this.#hour = new View('hour', this.#state.subarray(HOUR_VIEW), LEVEL_WEIGHT, tolerance)
    this.#state[CALM] = QUIET_SAMPLES
    this.#state[HOUR] = -1
  }

  /**
   * Takes the next sample and, if the hour of day may matter, its time in ms since 1970. A `pace` below 1 slows down
   * learning, for samples of a disturbance that should not soon be normal.
   */
  push (value: number, atMs?: number, pace = 1): EnvelopeVerdict {
    if (!Number.isFinite(value)) return { ...this.look('sample'), score: 0 }
    const state = this.#state
    const sample = Math.min(Math.max(value, -LARGEST), LARGEST)
    const count = ++state[COUNT]!
    average(state, MEAN, sample, gainOf(count, pace))
    state[LOAD]! *= BACKOFF_DECAY
    this.#step.pace = pace
    this.#step.margin = MARGIN * (1 + BACKOFF * state[LOAD]!)
    this.#step.floor = Math.max(Math.abs(state[MEAN]!) / 1_000, 1e-9)
    this.#sample.take(sample, state[MEAN]!, count, this.#step)
    this.#level.take(sample, state[MEAN]!, count, this.#step)
    const verdict = this.#worst(this.#takeHour(sample, atMs))
    if (count < FIRST_SCORED_SAMPLE) verdict.score = 0
    verdict.alert = this.#isAlert(verdict.score)
    return verdict
  }

  /** The result of the last sample in one view. */
  look (view: EnvelopeView): EnvelopeVerdict {
    const state = this.#state
    if (view === 'hour') return this.#hour.verdict(state[MEAN]! + state[HOUR_MEANS + state[HOUR]!]!)
    return (view === 'level' ? this.#level : this.#sample).verdict(state[MEAN]!)
  }

  /** The state for `restore`: 16 numbers, and 59 more of a signal with times. */
  save (): number[] {
    return [...this.#state[HOUR]! < 0 ? this.#state.subarray(0, SIZE_WITHOUT_TIMES) : this.#state]
  }

  /** Continues from a saved state. Returns false, and changes nothing, if `saved` is none. */
  restore (saved: readonly number[]): boolean {
    if (!isSavedState(saved)) return false
    this.#state.fill(0)
    this.#state[HOUR] = -1
    this.#state.set(saved)
    return true
  }

  /** Returns whether the view by hour counts. */
  #takeHour (sample: number, atMs: number | undefined): boolean {
    if (atMs === undefined || !Number.isFinite(atMs)) return false
    const state = this.#state
    const hour = (Math.floor(atMs / HOUR_MS) % HOURS + HOURS) % HOURS
    const distance = sample - state[MEAN]!
    if (hour !== state[HOUR]!) closeHour(state, hour)
    state[HOUR_SUM]! += distance
    state[HOUR_COUNT]!++
    return state[HOUR_DAYS + hour]! >= LEAST_DAYS && this.#takeRest(distance - state[HOUR_MEANS + hour]!)
  }

  #takeRest (rest: number): boolean {
    const state = this.#state
    const count = ++state[REST_COUNT]!
    average(state, REST_SQUARE, rest * rest, gainOf(count, this.#step.pace))
    this.#hour.take(rest, 0, count, this.#step)
    return count > LEAST_RESTS && state[REST_SQUARE]! < MOST_UNEXPLAINED * state[SAMPLE_VIEW + SQUARE]!
  }

  #worst (hasHour: boolean): EnvelopeVerdict {
    const worst = this.#level.score > this.#sample.score ? this.#level : this.#sample
    return this.look(hasHour && this.#hour.score > worst.score ? 'hour' : worst.name)
  }

  #isAlert (score: number): boolean {
    const state = this.#state
    const wasCalm = state[CALM]! >= QUIET_SAMPLES
    state[CALM] = score < 1 ? Math.min(state[CALM]! + 1, QUIET_SAMPLES) : 0
    if (score < 1 || !wasCalm) return false
    state[LOAD]!++
    return state[COUNT]! >= FIRST_ALERT_SAMPLE
  }
}

class View {
  readonly name: EnvelopeView
  score = 0
  readonly #numbers: Float64Array
  readonly #weight: number
  readonly #tolerance: Tolerance
  #low = 0
  #high = 0

  constructor (name: EnvelopeView, numbers: Float64Array, weight: number, tolerance: Tolerance) {
    this.name = name
    this.#numbers = numbers
    this.#weight = weight
    this.#tolerance = tolerance
  }

  take (value: number, expected: number, count: number, step: Step): void {
    const numbers = this.#numbers
    average(numbers, AVERAGE, value, Math.max(this.#weight, 1 / count))
    const distance = numbers[AVERAGE]! - expected
    const move = Math.abs(distance - numbers[LAST]!)
    numbers[LAST] = distance
    if (count === 1) numbers[LOW] = numbers[HIGH] = distance
    else average(numbers, MOVE, move, gainOf(count - 1, step.pace))
    this.#rate(distance, step.margin * (1 + YOUTH / count), step.floor)
    average(numbers, SQUARE, distance * distance, gainOf(count, step.pace))
    this.#widen(distance)
  }

  verdict (baseline: number): EnvelopeVerdict {
    const { name: view, score } = this
    const observed = baseline + this.#numbers[LAST]!
    return { score, alert: false, view, observed, baseline, low: this.#low, high: this.#high }
  }

  #rate (distance: number, margin: number, floor: number): void {
    const { noise, minDelta, direction } = this.#tolerance
    const low = this.#low = this.#numbers[LOW]!
    const high = this.#high = this.#numbers[HIGH]!
    const above = direction === 'down' ? 0 : distance - high
    const below = direction === 'up' ? 0 : low - distance
    const allowed = minDelta + noise * this.#numbers[MOVE]! + margin * Math.max(high - low, floor)
    this.score = Math.max(above, below, 0) / allowed
  }

  #widen (distance: number): void {
    const numbers = this.#numbers
    const band = BAND * Math.sqrt(numbers[SQUARE]!)
    if (numbers[HIGH]! > band) numbers[HIGH]! -= (numbers[HIGH]! - band) * FADE
    if (numbers[LOW]! < -band) numbers[LOW]! -= (numbers[LOW]! + band) * FADE
    if (distance > numbers[HIGH]!) numbers[HIGH] = distance
    if (distance < numbers[LOW]!) numbers[LOW] = distance
  }
}

/** Adds the hour that has ended to the profile. */
function closeHour (state: Float64Array, next: number): void {
  const ended = state[HOUR]!
  if (ended >= 0) {
    const days = Math.max(++state[HOUR_DAYS + ended]!, 1)
    const mean = state[HOUR_SUM]! / Math.max(state[HOUR_COUNT]!, 1)
    average(state, HOUR_MEANS + ended, mean, Math.max(PROFILE_WEIGHT, 1 / days))
  }
  state[HOUR] = next
  state[HOUR_SUM] = state[HOUR_COUNT] = 0
}

function average (numbers: Float64Array, at: number, value: number, weight: number): void {
  numbers[at]! += weight * (value - numbers[at]!)
}

/** Weight in a slow average. The first samples are weighted as in a plain mean. */
function gainOf (count: number, pace: number): number {
  return pace * Math.max(SLOW_WEIGHT, 1 / count)
}

const HOUR_NUMBERS = Array.from({ length: HOURS }, (_, hour) => hour)
const NOT_NEGATIVE = [COUNT, LOAD, REST_COUNT, REST_SQUARE, HOUR_COUNT,
  ...[SAMPLE_VIEW, LEVEL_VIEW, HOUR_VIEW].flatMap((view) => [view + SQUARE, view + MOVE])]

function isSavedState (saved: readonly number[]): boolean {
  return (saved.length === SIZE_WITHOUT_TIMES || (saved.length === SIZE && HOUR_NUMBERS.includes(saved[HOUR]!))) &&
    saved.every((number) => Math.abs(number) <= 10 * LARGEST ** 2) && NOT_NEGATIVE.every((at) => (saved[at] ?? 0) >= 0)
}
