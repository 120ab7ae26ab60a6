import type { Clock, Timer } from '../../base/clock.js'
import { HealthCheckTimeout } from '../../base/errors.js'

/** Why a run failed, as clients see it. The exception itself is never sent. */
export type FailureCode = 'check_failed' | 'check_timeout' | 'invalid_report'

type Result<T> = { code: null, value: T } | { code: FailureCode, err: unknown }

/** The outcome of a run; `checkedAt` is in ms since 1970. */
export type RunResult<T> = Result<T> & { responseTimeMs: number, checkedAt: number }

export interface GuardedRunDeps<T> {
  clock: Clock
  timeoutMs: number
  run: (signal: AbortSignal) => unknown
  /** Validates and copies what `run` returned; throws if it is invalid. */
  read: (returned: unknown) => T
  /** Called when a run fails with another code than the previous run. */
  onFailure: (code: FailureCode, err: unknown) => void
}

interface Run { controller: AbortController, startedMs: number, timer: Timer, done: Promise<void>, release: () => void }

/**
 * Calls a function of the host that may throw, reject, hang or return garbage, one call at a time.
 *
 * A call that takes longer than `timeoutMs` fails: its signal is aborted and its outcome is ignored. The next call
 * still waits until it has settled, so that work which ignores its signal cannot accumulate.
 */
export class GuardedRun<T> {
  readonly #deps: GuardedRunDeps<T>
  #outcome: RunResult<T> | undefined
  #current: Run | undefined
  #isBusy = false
  #isStopped = false

  constructor (deps: GuardedRunDeps<T>) {
    this.#deps = deps
  }

  /** The outcome of the last run that ended or timed out. */
  get outcome (): RunResult<T> | undefined { return this.#outcome }

  /** Resolves when the current run ends, times out or is stopped; `undefined` if there is none. */
  get done (): Promise<void> | undefined { return this.#current?.done }

  /** Starts a run, unless the previous one has not settled or `stop` was called. */
  start (): void {
    if (this.#isBusy || this.#isStopped) return
    this.#isBusy = true
    const run = this.#open()
    this.#call(run.controller.signal).then((result) => {
      this.#isBusy = false
      this.#end(run, result)
    })
  }

  /** Aborts the current run with `reason`. Afterwards nothing runs or changes. */
  stop (reason: Error): void {
    this.#isStopped = true
    const run = this.#current
    if (run === undefined) return
    this.#close(run)
    run.controller.abort(reason)
  }

  #open (): Run {
    const { clock, timeoutMs } = this.#deps
    let release!: () => void
    const done = new Promise<void>((resolve) => { release = resolve })
    const timer = clock.after(timeoutMs, () => this.#timeOut(run))
    const run: Run = { controller: new AbortController(), startedMs: clock.monotonic(), timer, done, release }
    this.#current = run
    return run
  }

  async #call (signal: AbortSignal): Promise<Result<T>> {
    let returned: unknown
    try {
      returned = await this.#deps.run(signal)
    } catch (err) {
      return { code: 'check_failed', err }
    }
    try {
      return { code: null, value: this.#deps.read(returned) }
    } catch (err) {
      return { code: 'invalid_report', err }
    }
  }

  #timeOut (run: Run): void {
    const err = new HealthCheckTimeout(this.#deps.timeoutMs)
    this.#end(run, { code: 'check_timeout', err })
    run.controller.abort(err)
  }

  #end (run: Run, result: Result<T>): void {
    // A result after a timeout or `stop` is ignored, including a rejection caused by the abort signal.
    if (this.#current !== run) return
    const { clock, onFailure } = this.#deps
    const before = this.#outcome?.code ?? null
    this.#outcome = { ...result, responseTimeMs: clock.monotonic() - run.startedMs, checkedAt: clock.now() }
    this.#close(run)
    if (result.code !== null && result.code !== before) onFailure(result.code, result.err)
  }

  #close (run: Run): void {
    this.#current = undefined
    run.timer.cancel()
    run.release()
  }
}
