import { MISSION_BUCKETS_MS } from '../../../schemas/options/prometheus.js'
import type { TerminalStatus } from '../../../schemas/mission.js'
import { systemClock, type Clock } from '../../base/clock.js'
import { Histogram, type HistogramCounts } from '../../base/histogram.js'
import { activeTraceId } from '../../base/tracing/active-trace.js'
import { NamedMeasures, type NamedCounts } from './named-measures.js'

/** Why an ended mission can no longer be looked up. */
export const EVICTIONS = ['age', 'capacity'] as const
export type EvictionReason = (typeof EVICTIONS)[number]

export interface MissionMeasuresOptions {
  /** Upper bounds of the buckets for durations. */
  missionBucketsMs?: readonly number[]
  /** The names of missions that are measured separately. */
  missionNames?: readonly string[] | undefined
  clock?: Clock
}

/** A copy of all measures. */
export interface MissionMeasured {
  started: number
  durations: Readonly<Record<TerminalStatus, HistogramCounts>>
  evicted: Readonly<Record<EvictionReason, number>>
}

/** The measures taken from a change of a mission. */
export interface MeasuredMission { readonly name: string }
export interface MeasuredOutcome { readonly status: TerminalStatus, readonly durationMs: number }

/**
 * Counts and durations of missions that never decrease: a mission counts once, with the first ending that this process
 * knows of, even if the shared log decides on another one.
 */
export class MissionMeasures {
  readonly #clock: Clock
  readonly #durations: Record<TerminalStatus, Histogram>
  readonly #named: NamedMeasures | undefined
  readonly #evicted: Record<EvictionReason, number> = { age: 0, capacity: 0 }
  #started = 0

  constructor (options: MissionMeasuresOptions = {}) {
    const { missionBucketsMs = MISSION_BUCKETS_MS, missionNames, clock = systemClock } = options
    this.#clock = clock
    const histogram = () => new Histogram(missionBucketsMs)
    this.#durations = { completed: histogram(), cancelled: histogram(), error: histogram() }
    this.#named = missionNames && new NamedMeasures(missionNames, missionBucketsMs)
  }

  started ({ name }: MeasuredMission): void {
    this.#started++
    this.#named?.started(name)
  }

  ended ({ name }: MeasuredMission, { status, durationMs }: MeasuredOutcome): void {
    const durations = this.#durations[status]
    durations.record(durationMs)
    const traceId = activeTraceId()
    if (traceId !== undefined) durations.keepExample({ traceId, ms: durationMs, at: this.#clock.now() })
    this.#named?.ended(name, status, durationMs)
  }

  evicted (reason: EvictionReason): void {
    this.#evicted[reason]++
  }

  read (): MissionMeasured {
    const { completed, cancelled, error } = this.#durations
    return {
      started: this.#started,
      durations: { completed: completed.read(), cancelled: cancelled.read(), error: error.read() },
      evicted: { ...this.#evicted }
    }
  }

  /** The measures by name; only with names. */
  readNamed (): NamedCounts[] {
    return this.#named!.read()
  }
}
