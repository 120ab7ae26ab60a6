import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { systemClock, type Clock } from '../../lib/base/clock.js'
import type { Backplane, Instance, LogEntry, LogStep, SharedLog, SharedLogPosition } from '../../lib/backplane/index.js'
import { RedisLog } from '../../lib/backplane/redis/redis-log.js'
import { resolveRedisOptions, type RedisBackplaneOptions } from '../../lib/backplane/redis/options.js'
import { startRedisServer, type RedisServer } from './redis-server.js'

/** A backplane with any lease, so that tests need not wait for the shortest one that a host may ask for. */
export function quickBackplane (options: RedisBackplaneOptions, leaseMs: number): Backplane {
  const resolved = { ...resolveRedisOptions(options), leaseMs }
  return { leaseMs, connect: (context) => new RedisLog(resolved, context) }
}

interface OpenOptions extends Partial<RedisBackplaneOptions> { id?: string, clock?: Clock }

/** A process that uses the log, and what it was told. */
export class LogUser {
  readonly log: SharedLog
  readonly instance: Instance
  readonly messages: string[] = []
  readonly warnings: Array<Error & { code?: string }> = []
  /** How many entries were dropped. */
  dropped = 0
  position: SharedLogPosition = { epoch: '', sequence: 0, token: '' }
  #number = 0

  constructor (backplane: Backplane, id: string, clock: Clock) {
    this.instance = { id, service: 'test' }
    this.log = backplane.connect({
      clock,
      onMessage: (text) => { this.messages.push(text) },
      onWarning: (err) => { this.warnings.push(err as Error) },
      onDropped: (count) => { this.dropped += count }
    })
  }

  async join () {
    const joined = await this.log.join(this.instance)
    this.position = joined.position
    return joined
  }

  /** Appends the next batch. Returns the verdicts, or that the instance is fenced. */
  async append (...steps: readonly LogStep[]) {
    this.#number++
    return await this.appendAgain(...steps)
  }

  /** Appends a batch with the number of the last one. */
  async appendAgain (...steps: readonly LogStep[]) {
    const result = await this.log.append({ number: this.#number, steps })
    return result.outcome === 'appended' ? result.verdicts : result.outcome
  }

  /** Reads on until there is nothing more. Returns the entries, or why the position is not in the log. */
  async read (waitMs = 0): Promise<LogEntry[] | 'trimmed' | 'diverged'> {
    const entries: LogEntry[] = []
    for (;;) {
      const result = await this.log.read(this.position, entries.length === 0 ? waitMs : 0)
      if (result.outcome !== 'batches') return result.outcome
      if (result.batches.length === 0) return entries
      entries.push(...result.batches.flatMap((batch) => batch.entries))
      const { epoch, token } = result.batches.at(-1)!
      this.position = { epoch, sequence: entries.at(-1)!.sequence, token }
    }
  }

  async ids (): Promise<string[]> {
    const ids: string[] = []
    for await (const page of this.log.states()) ids.push(...page.map(({ id }) => id))
    return ids.sort()
  }
}

/** A server of its own, a client to interfere with it, and processes that use it. All are closed with the test. */
export class RedisStand {
  readonly server: RedisServer
  readonly client: Redis
  readonly #t: Test
  #opened = 0

  constructor (t: Test, server: RedisServer) {
    this.#t = t
    this.server = server
    this.client = new Redis(server.url, { maxRetriesPerRequest: null })
    // The server is stopped by tests.
    this.client.on('error', () => {})
    t.teardown(async () => {
      this.client.disconnect()
      await server.close()
    })
  }

  /** The name of a key of the default namespace. */
  key (name: string): string {
    return `{mission-control:mission-control}:${name}`
  }

  /** A process that has not joined. */
  connect ({ id = `process-${++this.#opened}`, clock = systemClock, ...options }: OpenOptions = {}): LogUser {
    const user = new LogUser(quickBackplane({ client: this.server.url, ...options }, options.leaseMs ?? 15_000), id, clock)
    this.#t.teardown(async () => await user.log.close())
    return user
  }

  /** A process that has joined. */
  async open (options: OpenOptions = {}): Promise<LogUser> {
    const user = this.connect(options)
    await user.join()
    return user
  }
}

/** Starts a server of its own for a test, with settings such as `--appendonly`, `yes`. */
export async function openRedis (t: Test, ...args: readonly string[]): Promise<RedisStand> {
  return new RedisStand(t, await startRedisServer(...args))
}
