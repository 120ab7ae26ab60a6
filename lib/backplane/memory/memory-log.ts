import type { Clock } from '../../base/clock.js'
import { InvalidPayload } from '../../base/errors.js'
import type {
  AppendBatch, AppendResult, BackplaneContext, Instance, Joined, LogBatch, LogEntry, SharedLogPosition, LogStep,
  PublicationEntry, PublicationStep, RenewResult, StoredMission, Verdict
} from '../contract.js'
import { AppendAnswers } from './append-answers.js'
import { BatchLog, type BatchesAfter, type BatchLogOptions } from './batch-log.js'
import { CountTable } from './counts.js'
import { EntryHistory } from './entry-history.js'
import { HeadTable } from './heads.js'
import { Leases } from './leases.js'
import { MissionTable } from './missions.js'
import { RetainedValues } from './retained-values.js'

export interface MemoryLogDeps {
  leaseMs: number
  limits: BatchLogOptions
  /** Returns a random text that is never returned again. */
  createToken: () => string
}

/** The log that the processes share. Each method is one atomic step, with the clock of the process that calls it. */
export class MemoryLog {
  readonly #createToken: () => string
  readonly #secret: string
  readonly #answers = new AppendAnswers()
  readonly #leases: Leases
  readonly #batches: BatchLog
  readonly #history = new EntryHistory()
  readonly #heads = new HeadTable()
  readonly #counts = new CountTable()
  readonly #retained = new RetainedValues()
  readonly #missions: MissionTable
  #waiting: Array<() => void> = []

  constructor ({ leaseMs, limits, createToken }: MemoryLogDeps) {
    this.#createToken = createToken
    this.#secret = createToken()
    this.#leases = new Leases(leaseMs, (id) => this.#answers.forget(id))
    this.#batches = new BatchLog(createToken(), limits)
    this.#missions = new MissionTable({ heads: this.#heads, isGone: (id) => !this.#leases.has(id) })
  }

  /** The last position. */
  get position (): SharedLogPosition { return this.#batches.position }

  join (instance: Instance, clock: Clock): Joined {
    this.#leases.join(instance, clock.monotonic())
    return {
      position: this.position,
      counts: this.#counts.read(),
      heads: this.#heads.read(),
      retained: this.#retained.read(),
      secret: this.#secret
    }
  }

  missionIds (): string[] {
    return this.#missions.ids()
  }

  missions (ids: readonly string[]): StoredMission[] {
    return this.#missions.read(ids)
  }

  history (): LogBatch[] {
    return this.#history.read()
  }

  after (position: SharedLogPosition): BatchesAfter {
    return this.#batches.after(position)
  }

  /** Calls `wake` once, when there is something new to read. Returns a function that cancels this. */
  onChange (wake: () => void): () => void {
    this.#waiting.push(wake)
    return () => { this.#waiting = this.#waiting.filter((one) => one !== wake) }
  }

  append (instance: string, batch: AppendBatch, { clock, onWarning }: BackplaneContext): AppendResult {
    if (!this.#leases.has(instance)) return { outcome: 'fenced' }
    const known = this.#answers.find(instance, batch)
    if (known !== undefined) return { outcome: 'appended', verdicts: known }
    const { sequence } = this.position
    const entries: LogEntry[] = []
    const verdicts = batch.steps.map((step) => {
      if (step.kind === 'publication') this.#retain(step, onWarning)
      return this.#applyStep(step, instance, sequence + 1 + entries.length, entries)
    })
    this.#answers.put(instance, batch.number, verdicts)
    if (entries.length > 0) this.#commit(entries, instance, batch.number, clock)
    return { outcome: 'appended', verdicts }
  }

  renew (instance: string, position: SharedLogPosition, clock: Clock): RenewResult {
    if (!this.#leases.renew(instance, clock.monotonic())) return { outcome: 'fenced' }
    if (this.after(position) === 'diverged') return { outcome: 'diverged' }
    return { outcome: 'renewed', alive: this.#leases.alive(), fenced: this.#leases.fenced() }
  }

  remove (missions: ReadonlyArray<{ readonly id: string, readonly sequence: number }>): void {
    for (const { id, sequence } of missions) this.#missions.remove(id, sequence)
  }

  restart (epoch: string): void {
    if (this.position.epoch !== epoch) return
    this.#batches.restart(this.#createToken())
    this.#history.clear()
    this.#wake()
  }

  leave (instance: string, clock: Clock): void {
    this.#leases.leave(instance, clock.monotonic())
  }

  #applyStep (step: LogStep, instance: string, sequence: number, entries: LogEntry[]): Verdict {
    if (step.kind === 'publication') {
      entries.push(this.#publish(step, sequence))
      return 'applied'
    }
    const verdict = this.#missions.decide(step, instance)
    if (verdict === 'applied') {
      const entry = this.#missions.apply(step, instance, sequence)
      this.#counts.add(entry)
      entries.push(entry)
    }
    return verdict
  }

  #publish (step: PublicationStep, sequence: number): PublicationEntry {
    const { kind, channel, tenant, isReliable, messageId, update, retain } = step
    const isStreamed = isReliable && update !== ''
    const offsets = isStreamed ? this.#heads.add({ channel, tenant, messageId }) : { offset: 0, tenantOffset: 0 }
    return { kind, channel, tenant, messageId, update, retain, sequence, ...offsets }
  }

  #retain ({ channel, retain }: PublicationStep, onWarning: (err: unknown) => void): void {
    if (retain === undefined || this.#retained.set(retain)) return
    onWarning(new InvalidPayload(`a value of the channel ${channel} is too long to be retained`))
  }

  #commit (entries: readonly LogEntry[], instance: string, number: number, clock: Clock): void {
    const { epoch, sequence: after, token: previous } = this.position
    const token = this.#createToken()
    const batch = { epoch, token, previous, after, instance, number, at: clock.now(), entries }
    this.#batches.push(batch)
    this.#history.push(batch)
    this.#wake()
  }

  #wake (): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}
