import { Closing } from '../../base/errors.js'
import { callGuarded } from '../../base/promises.js'
import type {
  AppendBatch, AppendResult, BackplaneContext, Instance, Joined, LogBatch, SharedLogPosition, ReadResult, RenewResult,
  SharedLog, StoredMission
} from '../contract.js'
import type { BatchesAfter } from './batch-log.js'
import type { MemoryLog } from './memory-log.js'

/** How many missions a page of `states()` has at most. */
const PAGE = 500

/** The connections that receive messages. */
export type MemoryConnections = Set<MemoryConnection>

export interface MemoryConnectionDeps {
  log: MemoryLog
  members: MemoryConnections
  context: BackplaneContext
}

/** The shared log as one app sees it. */
export class MemoryConnection implements SharedLog {
  readonly #log: MemoryLog
  readonly #members: MemoryConnections
  readonly #context: BackplaneContext
  /** Ends the reads that wait. */
  readonly #waiting = new Set<() => void>()
  #instance = ''
  #isClosed = false

  constructor ({ log, members, context }: MemoryConnectionDeps) {
    this.#log = log
    this.#members = members
    this.#context = context
  }

  async join (instance: Instance): Promise<Joined> {
    this.#assertOpen()
    this.#instance = instance.id
    this.#members.add(this)
    return this.#log.join(instance, this.#context.clock)
  }

  async * states (): AsyncGenerator<readonly StoredMission[]> {
    this.#assertOpen()
    const ids = this.#log.missionIds()
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = this.#log.missions(ids.slice(at, at + PAGE))
      if (page.length > 0) yield page
    }
  }

  async history (): Promise<readonly LogBatch[]> {
    this.#assertOpen()
    return this.#log.history()
  }

  async read (after: SharedLogPosition, waitMs: number): Promise<ReadResult> {
    this.#assertOpen()
    const found = this.#log.after(after)
    const isKnown = typeof found === 'string' || found.length > 0
    if (isKnown || waitMs <= 0) return toResult(found)
    await this.#changeWithin(waitMs)
    return toResult(this.#log.after(after))
  }

  async append (batch: AppendBatch): Promise<AppendResult> {
    this.#assertOpen()
    return this.#log.append(this.#instance, batch, this.#context)
  }

  async renew (position: SharedLogPosition): Promise<RenewResult> {
    this.#assertOpen()
    return this.#log.renew(this.#instance, position, this.#context.clock)
  }

  async remove (missions: ReadonlyArray<{ readonly id: string, readonly sequence: number }>): Promise<void> {
    this.#assertOpen()
    this.#log.remove(missions)
  }

  async send (to: string | undefined, text: string): Promise<void> {
    this.#assertOpen()
    for (const member of this.#members) queueMicrotask(() => member.#receive(to, text))
  }

  async restart (epoch: string): Promise<void> {
    this.#assertOpen()
    this.#log.restart(epoch)
  }

  async leave (): Promise<void> {
    this.#assertOpen()
    this.#log.leave(this.#instance, this.#context.clock)
  }

  async close (): Promise<void> {
    this.#isClosed = true
    this.#members.delete(this)
    for (const end of this.#waiting) end()
  }

  #receive (to: string | undefined, text: string): void {
    if (this.#isClosed || (to !== undefined && to !== this.#instance)) return
    const { onMessage, onWarning } = this.#context
    callGuarded(() => onMessage(text), onWarning)
  }

  #assertOpen (): void {
    if (this.#isClosed) throw new Closing()
  }

  /** Resolves when the log changes, after `waitMs`, or when the connection is closed. */
  async #changeWithin (waitMs: number): Promise<void> {
    return await new Promise((resolve) => {
      const end = (): void => {
        this.#waiting.delete(end)
        unsubscribe()
        timer.cancel()
        resolve()
      }
      const unsubscribe = this.#log.onChange(end)
      const timer = this.#context.clock.after(waitMs, end)
      this.#waiting.add(end)
    })
  }
}

const toResult = (found: BatchesAfter): ReadResult =>
  typeof found === 'string' ? { outcome: found } : { outcome: 'batches', batches: found }
