import { performance } from 'node:perf_hooks'
import type { Clock } from '../../base/clock.js'
import type {
  Backplane, Instance, Joined, LogBatch, LogEntry, SharedLogPosition, LogStep, ReadResult, RenewResult, SharedLog,
  StoredMission, Verdict
} from '../contract.js'
import { demand, demandEqual, within } from './demand.js'

export interface StandDeps {
  backplane: Backplane
  clock: Clock
  advance: (ms: number) => void | Promise<void>
  timeoutMs: number
}

/** A backplane under test, and the processes that use it. */
export class Stand {
  readonly backplane: Backplane
  readonly leaseMs: number
  /** Errors that the backplane has reported. A check that expects some empties the list. */
  readonly warnings: unknown[] = []
  readonly #deps: StandDeps
  readonly #members: Participant[] = []

  constructor (deps: StandDeps) {
    this.#deps = deps
    this.backplane = deps.backplane
    this.leaseMs = deps.backplane.leaseMs
  }

  get clock (): Clock { return this.#deps.clock }

  /** A stand with another backplane. */
  beside (backplane: Backplane): Stand {
    return new Stand({ ...this.#deps, backplane })
  }

  /** A process that has not joined. */
  connect (): Participant {
    const { clock, timeoutMs } = this.#deps
    const messages: string[] = []
    const log = this.backplane.connect({
      clock,
      onMessage: (text) => { messages.push(text) },
      onWarning: (err) => { this.warnings.push(err) }
    })
    const instance = { id: `process-${this.#members.length + 1}`, service: 'conformance' }
    const member = new Participant({ log, instance, messages, timeoutMs })
    this.#members.push(member)
    return member
  }

  /** A process that has joined. */
  async open (): Promise<Participant> {
    const member = this.connect()
    await member.join()
    return member
  }

  /** Lets time pass. The members in `alive` renew their leases meanwhile. */
  async pass (ms: number, ...alive: readonly Participant[]): Promise<void> {
    const step = this.leaseMs / 5
    for (let left = ms; left > 0; left -= step) {
      // Calls that were made before reach the log first.
      await new Promise((resolve) => setImmediate(resolve))
      await this.#deps.advance(Math.ceil(Math.min(left, step)))
      for (const member of alive) await member.renew()
    }
  }

  /** Waits until the instance is fenced. The others must renew their leases. */
  async fenced (lost: Participant, ...alive: readonly [Participant, ...Participant[]]): Promise<void> {
    for (let tries = 0; tries < 25; tries++) {
      await this.pass(this.leaseMs / 5, ...alive)
      if ((await alive[0].renew()).fenced.includes(lost.id)) return
    }
    throw new Error(`an instance that was silent for five times ${this.leaseMs} ms is not fenced`)
  }

  /** Waits until the condition is true. */
  async until (what: string, isTrue: () => boolean): Promise<void> {
    const { timeoutMs } = this.#deps
    for (const end = performance.now() + timeoutMs; !isTrue();) {
      demand(performance.now() < end, `${what} did not arrive within ${timeoutMs} ms`)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  async close (): Promise<void> {
    for (const member of this.#members) await member.call('close', member.log.close())
  }
}

export interface ParticipantDeps { log: SharedLog, instance: Instance, messages: readonly string[], timeoutMs: number }

/** A process that uses the log. */
export class Participant {
  readonly log: SharedLog
  readonly instance: Instance
  readonly messages: readonly string[]
  /** Up to where this process has read. */
  position: SharedLogPosition = { epoch: '', sequence: 0, token: '' }
  readonly #timeoutMs: number
  #number = 0

  constructor ({ log, instance, messages, timeoutMs }: ParticipantDeps) {
    this.log = log
    this.instance = instance
    this.messages = messages
    this.#timeoutMs = timeoutMs
  }

  get id (): string { return this.instance.id }

  /** The result of a call of the log, which must settle in time. */
  async call<T> (what: string, promise: PromiseLike<T>): Promise<T> {
    return await within(this.#timeoutMs, `${what} of ${this.id}`, promise)
  }

  async join (): Promise<Joined> {
    const joined = await this.call('join', this.log.join(this.instance))
    this.position = joined.position
    return joined
  }

  /** Appends a batch. Returns the verdicts. */
  async append (...steps: readonly LogStep[]): Promise<readonly Verdict[]> {
    this.#number++
    return await this.appendAgain(...steps)
  }

  /** Appends the batch with the last number again. */
  async appendAgain (...steps: readonly LogStep[]): Promise<readonly Verdict[]> {
    const result = await this.call('append', this.log.append({ number: this.#number, steps }))
    demand(result.outcome === 'appended', `append of ${this.id}, which has a lease, returned ${result.outcome}`)
    demandEqual(result.verdicts.length, steps.length, `the number of verdicts about ${steps.length} steps`)
    return result.verdicts
  }

  /** Appends a batch, and demands that every step is applied. */
  async apply (...steps: readonly LogStep[]): Promise<void> {
    demandEqual(await this.append(...steps), steps.map(() => 'applied'), 'the verdicts')
  }

  async demandFenced (step: LogStep): Promise<void> {
    const appended = await this.call('append', this.log.append({ number: ++this.#number, steps: [step] }))
    demandEqual(appended, { outcome: 'fenced' }, 'the result of append of a fenced instance')
    const renewed = await this.call('renew', this.log.renew(this.position))
    demandEqual(renewed, { outcome: 'fenced' }, 'the result of renew of a fenced instance')
  }

  async read (after = this.position, waitMs = 0): Promise<ReadResult> {
    return await this.call('read', this.log.read(after, waitMs))
  }

  /** The batches that this process has not read yet. Moves its position. */
  async readOn (waitMs = 0): Promise<LogBatch[]> {
    const all: LogBatch[] = []
    for (;;) {
      const result = await this.read(this.position, all.length === 0 ? waitMs : 0)
      demand(result.outcome === 'batches', `read of ${this.id} returned ${result.outcome}`)
      if (result.batches.length === 0) return all
      all.push(...result.batches)
      this.position = positionAfter(result.batches.at(-1)!)
    }
  }

  /** The entries that this process has not read yet. */
  async entries (): Promise<LogEntry[]> {
    return (await this.readOn()).flatMap(({ entries }) => entries)
  }

  async renew (): Promise<Extract<RenewResult, { outcome: 'renewed' }>> {
    const result = await this.call('renew', this.log.renew(this.position))
    demand(result.outcome === 'renewed', `renew of ${this.id}, which is alive, returned ${result.outcome}`)
    return result
  }

  /** All stored missions in their last state, by id. */
  async states (): Promise<Map<string, StoredMission>> {
    const found: StoredMission[] = []
    const collect = async (): Promise<void> => {
      for await (const page of this.log.states()) found.push(...page)
    }
    await this.call('states', collect())
    found.sort((a, b) => a.sequence - b.sequence)
    return new Map(found.map((one) => [one.id, one]))
  }
}

/** The position after a batch. */
export const positionAfter = ({ epoch, token, entries }: LogBatch): SharedLogPosition =>
  ({ epoch, sequence: entries.at(-1)!.sequence, token })
