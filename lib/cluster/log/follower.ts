import type { LogBatch, SharedLog } from '../../backplane/contract.js'
import type { Clock } from '../../base/clock.js'
import { BackplaneIncompatible, InvalidOption } from '../../base/errors.js'
import type { Picture } from '../picture/picture.js'
import type { AckedBatches } from './acked-batches.js'

/** How long one read of the log waits for entries. */
const WAIT_MS = 2_500
/** While entries come without a pause, those of so many ms are read together. */
const PACE_MS = 2
/** The pauses after failures. */
const RETRY_MS = { first: 50, longest: 1_000 }

/** Why the picture was loaded again. */
export type ReloadCause = 'epoch_changed' | 'trimmed'

export interface FollowerDeps {
  clock: Clock
  log: SharedLog
  picture: Picture
  /** Takes a lease, and loads the picture. */
  load: () => Promise<void>
  /** The picture was loaded and is up to date. `undefined`: for the first time. */
  onLoaded: (cause: ReloadCause | undefined) => void
  onBatch: (batch: LogBatch) => void
  acked: AckedBatches
  /** Whether the last attempt has failed, with the error. */
  onState: (err: unknown) => void
}

/** Trying again can not help against wrong options, or against processes of an incompatible version. */
const isFinal = (err: unknown): boolean => err instanceof InvalidOption || err instanceof BackplaneIncompatible

/** Follows the log, and loads the picture again if the log has lost entries or this process has fallen too far back. */
export class Follower {
  readonly #deps: FollowerDeps
  #isLoaded = false
  #hasBegun = false
  #cause: ReloadCause | undefined
  #retryMs = RETRY_MS.first
  #readAt = -Infinity
  #isClosed = false
  #wake = () => {}

  constructor (deps: FollowerDeps) {
    this.#deps = deps
  }

  /**
   * Runs until `close`.
   *
   * @throws what the log rejects with before it was loaded for the first time, if trying again can not help
   */
  async run (): Promise<void> {
    while (!this.#isClosed) {
      try {
        await (this.#isLoaded ? this.#follow() : this.#load())
        this.#retryMs = RETRY_MS.first
        if (!this.#isClosed) this.#deps.onState(undefined)
      } catch (err) {
        if (this.#isClosed) return
        if (!this.#hasBegun && isFinal(err)) throw err
        this.#deps.onState(err)
        await this.#pause(this.#retryMs)
        this.#retryMs = Math.min(RETRY_MS.longest, this.#retryMs * 2)
      }
    }
  }

  close (): void {
    this.#isClosed = true
    this.#wake()
  }

  // Clients must not see the entries that are behind the loaded states, so the log is read up to its end first.
  async #load (): Promise<void> {
    const { log, picture, load, onLoaded } = this.#deps
    await load()
    for (;;) {
      const result = await log.read(picture.position, 0)
      if (result.outcome !== 'batches') return await this.#lose(result.outcome)
      if (result.batches.length === 0) break
      for (const batch of result.batches) picture.apply(batch)
    }
    if (this.#isClosed) return
    this.#isLoaded = true
    onLoaded(this.#hasBegun ? this.#cause : undefined)
    this.#hasBegun = true
    this.#cause = undefined
  }

  async #follow (): Promise<void> {
    const { clock, log, picture, acked, onBatch } = this.#deps
    const due = acked.highest
    const result = await log.read(picture.position, WAIT_MS)
    if (this.#isClosed) return
    if (result.outcome !== 'batches') return await this.#lose(result.outcome)
    for (const batch of result.batches) onBatch(batch)
    if (acked.isMissing(result.batches.length === 0 ? due : 0)) return await this.#lose('diverged')
    const now = clock.monotonic()
    const dueMs = this.#readAt + PACE_MS - now
    this.#readAt = now
    if (dueMs > 0) await this.#pause(Math.ceil(dueMs))
  }

  async #lose (outcome: 'trimmed' | 'diverged'): Promise<void> {
    const { log, picture } = this.#deps
    // The positions of clients mean other messages now.
    if (outcome === 'diverged') await log.restart(picture.position.epoch)
    this.#isLoaded = false
    this.#cause = outcome === 'diverged' ? 'epoch_changed' : this.#cause ?? 'trimmed'
  }

  async #pause (ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#deps.clock.after(ms, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }
}
