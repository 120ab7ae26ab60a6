import type { Clock, Timer } from '../../base/clock.js'
import { HealthCheckTimeout } from '../../base/errors.js'

/** Why a run counts as failed, as viewers see it; the exception itself stays in the process. */
export type FailureCode = 'check_failed' | 'check_timeout' | 'invalid_report'

type Result<T> = { code: null, value: T } | { code: FailureCode, err: unknown }

/** How a run ended; `responseTimeMs` is a duration, `checkedAt` ms since 1970. */
export type RunResult<T> = Result<T> & { responseTimeMs: number, checkedAt: number }

export interface GuardedRunDeps<T> {
  clock: Clock
  timeoutMs: number
  run: (signal: AbortSignal) => unknown
  /** Makes what `run` gave into a value of ours; throws if that is garbage. */
  read: (given: unknown) => T
  /** Called when a run fails in another way than the one before. */
  onFailure: (code: FailureCode, err: unknown) => void
}

interface Run { controller: AbortController, startedMs: number, timer: Timer, done: Promise<void>, release: () => void }

/**
 * Calls a function of the host that may throw, reject, hang or give garbage, at most one call at a time.
 *
 * A call that takes longer than `timeoutMs` has failed, its signal is aborted and its outcome no longer counts; but no
 * other call begins until it has settled, so that work which ignores its signal cannot pile up.
 */
export class GuardedRun<T> {
  readonly #init: GuardedRunDeps<T>
  #outcome: RunResult<T> | undefined
  #current: Run | undefined
  #isBusy = false
  #isStopped = false

  constructor (init: GuardedRunDeps<T>) {
    this.#init = init
  }

  /** How the last run ended that has ended or timed out. */
  get outcome (): RunResult<T> | undefined { return this.#outcome }

  /** Resolves when the current run ends, times out or is stopped; `undefined` if there is none to wait for. */
  get done (): Promise<void> | undefined { return this.#current?.done }

  /** Begins a run, unless the last one has not settled yet or this was stopped. */
  begin (): void {
    if (this.#isBusy || this.#isStopped) return
    this.#isBusy = true
    const run = this.#open()
    this.#call(run.controller.signal).then((result) => {
      this.#isBusy = false
      this.#end(run, result)
    })
  }

  /** Aborts the current run with `reason`; nothing runs or changes afterwards. */
  stop (reason: Error): void {
    this.#isStopped = true
    const run = this.#current
    if (run === undefined) return
    this.#close(run)
    run.controller.abort(reason)
  }

  #open (): Run {
    const { clock, timeoutMs } = this.#init
    let release!: () => void
    const done = new Promise<void>((resolve) => { release = resolve })
    const timer = clock.after(timeoutMs, () => this.#timeOut(run))
    const run: Run = { controller: new AbortController(), startedMs: clock.monotonic(), timer, done, release }
    this.#current = run
    return run
  }

  async #call (signal: AbortSignal): Promise<Result<T>> {
    let given: unknown
    try {
      given = await this.#init.run(signal)
    } catch (err) {
      return { code: 'check_failed', err }
    }
    try {
      return { code: null, value: this.#init.read(given) }
    } catch (err) {
      return { code: 'invalid_report', err }
    }
  }

  #timeOut (run: Run): void {
    const err = new HealthCheckTimeout(this.#init.timeoutMs)
    this.#end(run, { code: 'check_timeout', err })
    run.controller.abort(err)
  }

  #end (run: Run, result: Result<T>): void {
    // What a run says after it timed out or was stopped comes too late, also its rejection because of the signal.
    if (this.#current !== run) return
    const { clock, onFailure } = this.#init
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
