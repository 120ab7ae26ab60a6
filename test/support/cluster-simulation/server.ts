import type { AppendBatch, AppendResult, Instance, Joined, LogBatch, SharedLogPosition, RenewResult, SharedLog } from '../../../lib/backplane/index.js'
import { MemoryLog } from '../../../lib/backplane/memory/memory-log.js'
import { isTerminal } from '../../../schemas/mission.js'
import type { Clock } from '../../../lib/base/clock.js'

/** A change of the log, with the time of the server at that moment. */
interface Change { readonly isAppend: boolean, readonly joins: string | undefined, readonly run: (log: MemoryLog) => unknown }

export interface ServerDeps {
  clock: Clock
  leaseMs: number
  /** How many batches are kept for processes that read on. */
  maxBatches: number
}

/**
 * The server of the log. It remembers every change, so that a failover can bring back the state before the last ones,
 * with the same tokens.
 */
export class SimulatedServer {
  readonly #deps: ServerDeps
  /** What the log has answered, and how often. */
  readonly answers: Record<string, number> = {}
  /** The endings that failovers have lost, as ids and attempts. */
  readonly lostEndings = new Set<string>()
  #log: MemoryLog
  #changes: Change[] = []
  #batches: LogBatch[] = []
  #joined = new Set<string>()
  /** Up to where `batches` goes. */
  #recorded: SharedLogPosition
  /** Tokens that the log has created; while changes are repeated, the log gets these again. */
  #tokens: string[] = []
  #nextToken = 0
  #created = 0

  constructor (deps: ServerDeps) {
    this.#deps = deps
    this.#log = this.#createLog()
    this.#recorded = this.#log.position
  }

  get log (): MemoryLog { return this.#log }

  /** All batches that the log has, from the first one on, whatever it has trimmed. */
  get batches (): readonly LogBatch[] { return this.#batches }

  /** Whether an instance has joined, as far as the log knows. */
  knows (id: string): boolean { return this.#joined.has(id) }

  join (instance: Instance): Joined {
    return this.#change((log, clock) => log.join(instance, clock), { joins: instance.id })
  }

  append (instance: string, batch: AppendBatch): AppendResult {
    const result = this.#change((log, clock) => log.append(instance, batch, { clock, onMessage () {}, onWarning () {} }), { isAppend: true })
    this.#record()
    for (const answer of result.outcome === 'fenced' ? ['fenced'] : result.verdicts) this.answers[answer] = (this.answers[answer] ?? 0) + 1
    return result
  }

  renew (instance: string, position: SharedLogPosition): RenewResult {
    return this.#change((log, clock) => log.renew(instance, position, clock))
  }

  remove (missions: Parameters<SharedLog['remove']>[0]): void {
    this.#change((log) => log.remove(missions))
  }

  restart (epoch: string): void {
    this.#change((log) => log.restart(epoch))
    this.#record()
  }

  leave (instance: string): void {
    this.#change((log, clock) => log.leave(instance, clock))
  }

  /** Loses the last changes, among them this number of appends. Returns the batches that are lost. */
  failover (appends: number): LogBatch[] {
    let kept = this.#changes.length
    for (let left = appends; left > 0 && kept > 0; kept--) if (this.#changes[kept - 1]!.isAppend) left--
    const before = this.#batches
    this.#changes = this.#changes.slice(0, kept)
    this.#batches = []
    this.#joined.clear()
    this.#nextToken = 0
    this.#log = this.#createLog()
    this.#recorded = this.#log.position
    for (const { run, joins } of this.#changes) {
      run(this.#log)
      if (joins !== undefined) this.#joined.add(joins)
      this.#record()
    }
    // What the log creates from now on differs from what it created before the failover.
    this.#tokens.length = this.#nextToken
    const lost = before.slice(this.#batches.length)
    for (const entry of lost.flatMap(({ entries }) => entries)) {
      if (entry.kind !== 'mission') continue
      // A newer attempt has ended those before it.
      const ended = isTerminal(entry.status) ? entry.attempt : entry.attempt - 1
      for (let attempt = 1; attempt <= ended; attempt++) this.lostEndings.add(`${entry.id} ${attempt}`)
    }
    return lost
  }

  #createLog (): MemoryLog {
    const { leaseMs, maxBatches } = this.#deps
    return new MemoryLog({ leaseMs, limits: { maxBatches }, createToken: () => this.#createToken() })
  }

  #createToken (): string {
    this.#tokens[this.#nextToken] ??= `token-${String(++this.#created).padStart(12, '0')}`
    return this.#tokens[this.#nextToken++]!
  }

  /** Makes a change, and remembers it with the present time. */
  #change<T> (run: (log: MemoryLog, clock: Clock) => T, { isAppend = false, joins }: { isAppend?: boolean, joins?: string } = {}): T {
    const clock = this.#stopClock()
    this.#changes.push({ isAppend, joins, run: (log) => run(log, clock) })
    if (joins !== undefined) this.#joined.add(joins)
    return run(this.#log, clock)
  }

  #stopClock (): Clock {
    const { clock } = this.#deps
    const [now, monotonic] = [clock.now(), clock.monotonic()]
    return { ...clock, now: () => now, monotonic: () => monotonic }
  }

  /** Takes over what was appended last. */
  #record (): void {
    const { position } = this.#log
    // Sequences and tokens go on in another epoch.
    const found = this.#log.after({ ...this.#recorded, epoch: position.epoch })
    this.#recorded = position
    if (typeof found !== 'string') this.#batches.push(...found)
  }
}
