import type { AppendBatch, AppendResult, Backplane, BackplaneContext, Instance, Joined, LogBatch, SharedLogPosition, ReadResult, RenewResult, SharedLog, StoredMission } from '../../../lib/backplane/index.js'
import type { Clock } from '../../../lib/base/clock.js'
import type { Chance } from './chance.js'
import type { ProcessClock } from './process-clock.js'
import type { SimulatedServer } from './server.js'

/** How reliable the network between the processes and the server is. Probabilities are from 0 to 1. */
export interface Faults {
  /** One way, in ms. */
  latencyMs: number
  /** That a call does not reach the server. */
  lostRequests: number
  /** That the server answers a call, but the answer does not reach the process. */
  lostAnswers: number
  /** That an append reaches the server a second time, later. */
  lateCopies: number
  /** That a message between processes gets lost. */
  lostMessages: number
}

export const NO_FAULTS: Faults = { latencyMs: 0, lostRequests: 0, lostAnswers: 0, lateCopies: 0, lostMessages: 0 }

/** How long after an append its late copy arrives, at most, in ms. */
const LATE_COPY_MS = 20_000
/** How long it takes to notice that the server does not answer, in ms. */
const TIMEOUT_MS = 2_000
const PAGE = 3

const broken = (): Error => new Error('the connection to the log is broken')

/** The server and the network around it. */
export interface World {
  readonly clock: Clock
  readonly chance: Chance
  readonly server: SimulatedServer
  readonly faults: Faults
  readonly connections: Set<SimulatedConnection>
  /** Whether the server is unreachable for all. */
  isAway: boolean
  /** What is to be done once the present turn is over. */
  readonly deferred: Array<() => void>
}

/** The backplane of one process. */
export function createSimulatedBackplane (world: World, gate: ProcessClock, leaseMs: number): Backplane {
  return { leaseMs, connect: (context) => new SimulatedConnection(world, gate, context) }
}

/** The log as one process sees it through the network. */
export class SimulatedConnection implements SharedLog {
  readonly #world: World
  readonly #gate: ProcessClock
  readonly #context: BackplaneContext
  /** Rejects the calls that are open. */
  readonly #open = new Set<(err: unknown) => void>()
  #instance: Instance = { id: '', service: '' }
  #isClosed = false
  /** Whether this process alone cannot reach the server. */
  isCut = false

  constructor (world: World, gate: ProcessClock, context: BackplaneContext) {
    this.#world = world
    this.#gate = gate
    this.#context = context
  }

  async join (instance: Instance): Promise<Joined> {
    this.#world.connections.add(this)
    this.#instance = instance
    return await this.#call(() => this.#world.server.join(instance))
  }

  async * states (): AsyncGenerator<readonly StoredMission[]> {
    const { log } = this.#world.server
    const ids = await this.#call(() => log.missionIds())
    for (let at = 0; at < ids.length; at += PAGE) yield await this.#call(() => this.#world.server.log.missions(ids.slice(at, at + PAGE)))
  }

  async history (): Promise<readonly LogBatch[]> {
    return await this.#call(() => this.#world.server.log.history())
  }

  async read (after: SharedLogPosition, waitMs: number): Promise<ReadResult> {
    const look = (): ReadResult | undefined => {
      const found = this.#world.server.log.after(after)
      if (typeof found === 'string') return { outcome: found }
      return found.length === 0 ? undefined : { outcome: 'batches', batches: found }
    }
    const empty: ReadResult = { outcome: 'batches', batches: [] }
    return await this.#call(() => look() ?? (waitMs <= 0
      ? empty
      : new Promise((resolve) => {
        const end = (): void => {
          timer.cancel()
          unsubscribe()
          resolve(look() ?? empty)
        }
        const unsubscribe = this.#world.server.log.onChange(end)
        const timer = this.#world.clock.after(waitMs, end)
      })))
  }

  async append (batch: AppendBatch): Promise<AppendResult> {
    const { chance, clock, faults } = this.#world
    const { id } = this.#instance
    const append = (): AppendResult => {
      this.#enter()
      return this.#world.server.append(id, batch)
    }
    if (chance.happens(faults.lateCopies)) clock.after(chance.upTo(LATE_COPY_MS), () => { if (!this.#world.isAway) append() })
    return await this.#call(append)
  }

  async renew (position: SharedLogPosition): Promise<RenewResult> {
    return await this.#call(() => {
      this.#enter()
      return this.#world.server.renew(this.#instance.id, position)
    })
  }

  async remove (missions: Parameters<SharedLog['remove']>[0]): Promise<void> {
    await this.#call(() => this.#world.server.remove(missions))
  }

  async send (to: string | undefined, text: string): Promise<void> {
    await this.#call(() => {
      const { chance, connections, faults } = this.#world
      for (const one of connections) {
        if (!chance.happens(faults.lostMessages)) this.#after(faults.latencyMs, () => one.#receive(to, text))
      }
    })
  }

  async restart (epoch: string): Promise<void> {
    await this.#call(() => this.#world.server.restart(epoch))
  }

  async leave (): Promise<void> {
    await this.#call(() => this.#world.server.leave(this.#instance.id))
  }

  async close (): Promise<void> {
    this.#isClosed = true
    this.#world.connections.delete(this)
    this.break()
  }

  /** Breaks the connection: calls that are open fail, whether or not the server has received them. */
  break (): void {
    for (const reject of this.#open) reject(broken())
  }

  /** A server that has lost the lease with its last changes gives it again. */
  #enter (): void {
    const { server } = this.#world
    if (!server.knows(this.#instance.id)) server.join(this.#instance)
  }

  get #isReachable (): boolean { return !this.#world.isAway && !this.isCut }

  #receive (to: string | undefined, text: string): void {
    if (this.#isClosed || !this.#isReachable || (to !== undefined && to !== this.#instance.id)) return
    this.#gate.run(() => { this.#context.onMessage(text) })
  }

  /** Makes a call on the server. Its result, or an error, is known when the process runs. */
  async #call<T> (run: () => T | Promise<T>): Promise<T> {
    if (this.#isClosed) throw broken()
    const { chance, clock, faults } = this.#world
    const [isLost, isUnanswered] = [chance.happens(faults.lostRequests), chance.happens(faults.lostAnswers)]
    return await new Promise<T>((resolve, reject) => {
      const settle = (end: () => void): void => {
        if (this.#open.delete(fail)) this.#gate.run(end)
      }
      const fail = (err: unknown): void => settle(() => reject(err))
      this.#open.add(fail)
      const failLater = (): void => { clock.after(chance.upTo(TIMEOUT_MS), () => fail(broken())) }
      this.#after(faults.latencyMs, () => {
        if (isLost || !this.#isReachable) return failLater()
        Promise.resolve(run()).then((result) => {
          if (isUnanswered || !this.#isReachable) return failLater()
          this.#after(faults.latencyMs, () => settle(() => resolve(result)))
        }).catch(fail)
      })
    })
  }

  #after (ms: number, run: () => void): void {
    if (ms === 0) queueMicrotask(run)
    else this.#world.clock.after(ms, run)
  }
}
