import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import type { Timer } from '../../base/clock.js'
import { Closing, HealthCheckRemoved, InvalidHealthCheck } from '../../base/errors.js'
import { worstOf } from './severity.js'
import { isComponentName } from './report.js'
import {
  checkSource, providerSource,
  type HealthCheck, type HealthProvider, type HealthSource, type HealthReading, type HealthSourceDeps
} from './sources.js'

export interface HealthChecksDeps extends HealthSourceDeps {
  intervalMs: number
  provider?: HealthProvider | undefined
  /** Called at the end of each round with the worst status and all components. */
  onRound: (round: HealthReading) => void
}

/**
 * Runs the host's health checks in the background, in parallel, and combines their results in rounds.
 *
 * A round starts every `intervalMs`, the first one with `start`, and ends when every running check has ended or timed
 * out. A round that is due before the previous one has ended is skipped. Nothing runs before `start` or after `close`.
 */
export class HealthChecks {
  readonly #deps: HealthChecksDeps
  readonly #checks = new Map<string, HealthSource>()
  readonly #sources = new Set<HealthSource>()
  readonly #timers = new Map<HealthSource, Timer>()
  #rounds: Timer | undefined
  #isRoundOpen = false
  #isClosed = false

  constructor (deps: HealthChecksDeps) {
    this.#deps = deps
    if (deps.provider !== undefined) this.#sources.add(providerSource(deps.provider, deps))
  }

  /**
   * Adds a check and returns a function that removes it. If the rounds have started, the check runs immediately.
   *
   * @throws FST_MC_INVALID_HEALTH_CHECK
   */
  add (check: HealthCheck): () => void {
    if (this.#isClosed) return () => {}
    const problem = findProblem(check)
    if (problem !== undefined) throw new InvalidHealthCheck(problem)
    const { name } = check
    if (this.#checks.has(name)) throw new InvalidHealthCheck(`there is already a check named ${JSON.stringify(name)}`)
    const source = checkSource(check, this.#deps)
    this.#checks.set(name, source)
    this.#sources.add(source)
    if (this.#rounds !== undefined) {
      this.#schedule(source)
      source.run.start()
    }
    return () => { if (this.#sources.has(source)) this.#remove(name, source) }
  }

  start (): void {
    if (this.#rounds !== undefined || this.#isClosed) return
    for (const source of this.#sources) this.#schedule(source)
    this.#rounds = this.#deps.clock.every(this.#deps.intervalMs, () => this.#openRound())
    for (const source of this.#sources) source.run.start()
    this.#openRound()
  }

  /** Stops all timers and aborts running checks. */
  close (): void {
    this.#isClosed = true
    this.#rounds?.cancel()
    for (const source of this.#sources) this.#stop(source, new Closing())
  }

  #schedule (source: HealthSource): void {
    if (source.intervalMs === undefined) return
    this.#timers.set(source, this.#deps.clock.every(source.intervalMs, () => source.run.start()))
  }

  #remove (name: string, source: HealthSource): void {
    this.#checks.delete(name)
    this.#sources.delete(source)
    this.#stop(source, new HealthCheckRemoved())
  }

  #stop (source: HealthSource, reason: Error): void {
    this.#timers.get(source)?.cancel()
    this.#timers.delete(source)
    source.run.stop(reason)
  }

  #openRound (): void {
    if (this.#isRoundOpen) return
    for (const source of this.#sources) if (source.intervalMs === undefined) source.run.start()
    this.#isRoundOpen = true
    Promise.all([...this.#sources].map((source) => source.run.done)).then(() => this.#endRound())
  }

  #endRound (): void {
    this.#isRoundOpen = false
    if (this.#isClosed) return
    const readings = [...this.#sources].map((source) => source.read()).filter((reading) => reading !== undefined)
    this.#deps.onRound({
      status: worstOf('healthy', ...readings.map((reading) => reading.status)),
      components: readings.flatMap((reading) => reading.components)
    })
  }
}

function findProblem (check: unknown): string | undefined {
  if (typeof check !== 'object' || check === null) return 'it must be an object with a name and a run function'
  const { name, run, critical, intervalMs, timeoutMs } = check as Record<string, unknown>
  if (!isComponentName(name)) return 'name must be a string of 1 to 64 characters in one line'
  if (typeof run !== 'function') return 'run must be a function'
  if (critical !== undefined && typeof critical !== 'boolean') return 'critical must be true or false'
  if (!isDelay(intervalMs)) return `intervalMs must be a whole number from 1 to ${LONGEST_TIMER_MS}`
  return isDelay(timeoutMs) ? undefined : `timeoutMs must be a whole number from 1 to ${LONGEST_TIMER_MS}`
}

function isDelay (value: unknown): boolean {
  if (value === undefined) return true
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LONGEST_TIMER_MS
}
