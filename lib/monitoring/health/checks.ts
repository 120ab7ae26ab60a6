import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import type { Timer } from '../../base/clock.js'
import { Closing, HealthCheckRemoved, InvalidHealthCheck } from '../../base/errors.js'
import { worstOf } from './levels.js'
import { isComponentName } from './report.js'
import { checkSource, providerSource, type HealthCheck, type HealthProvider, type HealthSource, type HealthReading, type SourceContext } from './sources.js'

export interface HealthChecksDeps extends SourceContext {
  intervalMs: number
  provider?: HealthProvider | undefined
  /** Called at the end of each round with the worst level and all components. */
  onRound: (round: HealthReading) => void
}

/**
 * Runs the host's health checks in the background, in parallel, and sums them up in rounds.
 *
 * A round begins every `intervalMs`, the first one with `start`, and ends as soon as every run under way has ended or timed
 * out; one that is due before the last has ended is left out. Nothing runs before `start` or after `close`.
 */
export class HealthChecks {
  readonly #init: HealthChecksDeps
  readonly #checks = new Map<string, HealthSource>()
  readonly #sources = new Set<HealthSource>()
  readonly #timers = new Map<HealthSource, Timer>()
  #rounds: Timer | undefined
  #isRoundOpen = false
  #isClosed = false

  constructor (init: HealthChecksDeps) {
    this.#init = init
    if (init.provider !== undefined) this.#sources.add(providerSource(init.provider, init))
  }

  /**
   * Adds a check, which runs at once if the rounds have begun, and answers a function that removes it.
   *
   * @throws FST_MC_INVALID_HEALTH_CHECK
   */
  add (check: HealthCheck): () => void {
    if (this.#isClosed) return () => {}
    const fault = findFault(check)
    if (fault !== undefined) throw new InvalidHealthCheck(fault)
    const { name } = check
    if (this.#checks.has(name)) throw new InvalidHealthCheck(`there is a check named ${JSON.stringify(name)} already`)
    const source = checkSource(check, this.#init)
    this.#checks.set(name, source)
    this.#sources.add(source)
    if (this.#rounds !== undefined) {
      this.#schedule(source)
      source.run.begin()
    }
    return () => { if (this.#sources.has(source)) this.#remove(name, source) }
  }

  start (): void {
    if (this.#rounds !== undefined || this.#isClosed) return
    for (const source of this.#sources) this.#schedule(source)
    this.#rounds = this.#init.clock.every(this.#init.intervalMs, () => this.#openRound())
    for (const source of this.#sources) source.run.begin()
    this.#openRound()
  }

  /** Stops all timers and aborts what runs. */
  close (): void {
    this.#isClosed = true
    this.#rounds?.cancel()
    for (const source of this.#sources) this.#stop(source, new Closing())
  }

  #schedule (source: HealthSource): void {
    if (source.intervalMs === undefined) return
    this.#timers.set(source, this.#init.clock.every(source.intervalMs, () => source.run.begin()))
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
    for (const source of this.#sources) if (source.intervalMs === undefined) source.run.begin()
    this.#isRoundOpen = true
    Promise.all([...this.#sources].map((source) => source.run.done)).then(() => this.#endRound())
  }

  #endRound (): void {
    this.#isRoundOpen = false
    if (this.#isClosed) return
    const readings = [...this.#sources].map((source) => source.read()).filter((reading) => reading !== undefined)
    this.#init.onRound({
      level: worstOf('healthy', ...readings.map((reading) => reading.level)),
      components: readings.flatMap((reading) => reading.components)
    })
  }
}

function findFault (check: unknown): string | undefined {
  if (typeof check !== 'object' || check === null) return 'it must be an object with a name and a run function'
  const { name, run, critical, intervalMs, timeoutMs } = check as Record<string, unknown>
  if (!isComponentName(name)) return 'name must be text of 1 to 64 characters in one line'
  if (typeof run !== 'function') return 'run must be a function'
  if (critical !== undefined && typeof critical !== 'boolean') return 'critical must be true or false'
  if (!isDelay(intervalMs)) return `intervalMs must be a whole number from 1 to ${LONGEST_TIMER_MS}`
  return isDelay(timeoutMs) ? undefined : `timeoutMs must be a whole number from 1 to ${LONGEST_TIMER_MS}`
}

function isDelay (value: unknown): boolean {
  return value === undefined || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LONGEST_TIMER_MS)
}
