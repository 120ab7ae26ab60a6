import { randomBytes } from 'node:crypto'
import { BackplaneIncompatible, Closing, InvalidPayload } from '../../base/errors.js'
import type {
  AppendBatch, AppendResult, BackplaneContext, Instance, Joined, LogBatch, SharedLogPosition, ReadResult, RenewResult,
  SharedLog, StoredMission
} from '../contract.js'
import { BrokenEntries } from './broken-entries.js'
import type { RedisConnection } from './client/redis-connection.js'
import { findClients } from './client/source.js'
import { RedisConnections } from './connections.js'
import type { StreamEntry } from './encoding/batches.js'
import { decodeInstances, decodeJoined, type FlatHash, type JoinReply } from './encoding/joined.js'
import { isRetainable, pushSteps } from './encoding/steps.js'
import { decodeVerdicts } from './encoding/verdicts.js'
import { readHistory } from './history.js'
import { LuaScript } from './lua-script.js'
import type { ResolvedRedisOptions } from './options.js'
import { Reader } from './reader.js'
import { APPEND } from './scripts/append.js'
import { JOIN } from './scripts/join.js'
import { HISTORY_SHARDS } from './scripts/prelude.js'
import { RENEW } from './scripts/renew.js'
import { LEAVE, PURGE, REMOVE, RESTART } from './scripts/small.js'
import { readStates } from './states.js'

const SCRIPTS = {
  append: new LuaScript(APPEND),
  join: new LuaScript(JOIN),
  leave: new LuaScript(LEAVE),
  purge: new LuaScript(PURGE),
  remove: new LuaScript(REMOVE),
  renew: new LuaScript(RENEW),
  restart: new LuaScript(RESTART)
}

/** How many missions one call of the script `REMOVE` gets. */
const REMOVE_PAGE = 500

type Args = ReadonlyArray<string | number>

const createText = (bytes: number): string => randomBytes(bytes).toString('base64url')

/** The shared log in Redis, as one process sees it. */
export class RedisLog implements SharedLog {
  readonly #options: ResolvedRedisOptions
  readonly #context: BackplaneContext
  readonly #broken: BrokenEntries
  #connections: RedisConnections | undefined
  #reader: Reader | undefined
  #instance: Instance = { id: '', service: '' }
  /** The last sequence of the log when it answered most recently. */
  #head = 0
  #isClosed = false

  constructor (options: ResolvedRedisOptions, context: BackplaneContext) {
    this.#options = options
    this.#context = context
    this.#broken = new BrokenEntries(context)
  }

  async join (instance: Instance): Promise<Joined> {
    const { receiver } = await this.#open()
    this.#instance = instance
    await receiver.subscribe([this.#channel(undefined), this.#channel(instance.id)])
    return await this.#enter()
  }

  async * states (): AsyncGenerator<readonly StoredMission[]> {
    yield * readStates({ connection: this.#commands(), key: this.#key('meta'), onBroken: this.#onBroken })
  }

  async history (): Promise<readonly LogBatch[]> {
    const shards: StreamEntry[][] = []
    // One after the other: all together may be too much for one answer in time.
    for (let shard = 0; shard < HISTORY_SHARDS; shard++) {
      shards.push(await this.#commands().call('xrange', [this.#key(`history:${shard}`), '-', '+']) as StreamEntry[])
    }
    return readHistory(shards.flat(), this.#onBroken)
  }

  async read (after: SharedLogPosition, waitMs: number): Promise<ReadResult> {
    this.#commands()
    return await this.#reader!.read(after, waitMs)
  }

  async append (batch: AppendBatch): Promise<AppendResult> {
    const { number, steps } = batch
    const args = [this.#instance.id, number, createText(9)]
    pushSteps(args, steps)
    const [outcome, letters, head] = await this.#runJoined('append', args) as [string, string, number]
    if (outcome === 'fenced') return { outcome }
    this.#head = Number(head)
    this.#warnOfValues(batch)
    return { outcome: 'appended', verdicts: decodeVerdicts(letters, steps.length) }
  }

  async renew ({ epoch, sequence, token }: SharedLogPosition): Promise<RenewResult> {
    const args = [this.#instance.id, this.#options.leaseMs, epoch, sequence, token]
    // A failure opens the connection again, and is reported by it.
    this.#connections?.receiver.ping().catch(() => {})
    const reply = await this.#runJoined('renew', args) as [string, number, FlatHash, string[]]
    const [outcome, head, services, fenced] = reply
    if (outcome !== 'fenced') this.#head = Number(head)
    if (outcome !== 'renewed') return { outcome: outcome as 'fenced' | 'diverged' }
    return { outcome, alive: decodeInstances(services), fenced }
  }

  async remove (missions: ReadonlyArray<{ readonly id: string, readonly sequence: number }>): Promise<void> {
    for (let from = 0; from < missions.length; from += REMOVE_PAGE) {
      const page = missions.slice(from, from + REMOVE_PAGE)
      await this.#run('remove', page.flatMap(({ id, sequence }) => [id, sequence]))
    }
  }

  async send (to: string | undefined, text: string): Promise<void> {
    await this.#commands().call('publish', [this.#channel(to), text])
  }

  async restart (epoch: string): Promise<void> {
    await this.#run('restart', [epoch, createText(9)])
  }

  async leave (): Promise<void> {
    await this.#run('leave', [this.#instance.id])
  }

  async close (): Promise<void> {
    this.#isClosed = true
    this.#connections?.close()
  }

  readonly #key = (name: string): string => `{mission-control:${this.#options.namespace}}:${name}`

  /** The channel of an instance, or of all. */
  #channel (instance: string | undefined): string {
    const { database } = this.#opened()
    const name = this.#key(instance === undefined ? 'all' : `to:${instance}`)
    return database === 0 ? name : `${name}@${database}`
  }

  readonly #onBroken = (count: number): void => this.#broken.add(count)

  async #open (): Promise<RedisConnections> {
    if (this.#connections !== undefined || this.#isClosed) return this.#opened()
    const create = await findClients(this.#options.client)
    if (this.#connections !== undefined || this.#isClosed) return this.#opened()
    const connections = new RedisConnections(create, this.#context)
    this.#connections = connections
    this.#reader = new Reader({
      connection: connections.reads,
      key: this.#key,
      purge: async (ids) => { await this.#run('purge', ids) },
      onBroken: this.#onBroken,
      seen: () => this.#head
    })
    return connections
  }

  #opened (): RedisConnections {
    if (this.#isClosed || this.#connections === undefined) throw new Closing()
    return this.#connections
  }

  #commands (): RedisConnection {
    return this.#opened().commands
  }

  async #run (name: keyof typeof SCRIPTS, args: Args): Promise<unknown> {
    return await SCRIPTS[name].run(this.#commands(), this.#key('meta'), args)
  }

  /** Runs a script that needs the lease. If Redis has lost it, or the whole log, it is taken again. */
  async #runJoined (name: 'append' | 'renew', args: Args): Promise<readonly unknown[]> {
    const reply = await this.#run(name, args) as readonly unknown[]
    if (reply[0] !== 'absent') return reply
    await this.#enter()
    return await this.#run(name, args) as readonly unknown[]
  }

  async #enter (): Promise<Joined> {
    const { id, service } = this.#instance
    const texts = [createText(9), createText(32), createText(6)]
    const reply = await this.#run('join', [id, service, this.#options.leaseMs, ...texts]) as string[]
    const [outcome, ...rest] = reply
    if (outcome === 'incompatible') throw new BackplaneIncompatible(rest[0]!)
    return decodeJoined(rest as unknown as JoinReply)
  }

  #warnOfValues ({ steps }: AppendBatch): void {
    for (const step of steps) {
      if (step.kind === 'mission' || step.retain === undefined || isRetainable(step.retain)) continue
      const { channel } = step
      this.#context.onWarning(new InvalidPayload(`a value of the channel ${channel} is too long to be retained`))
    }
  }
}
