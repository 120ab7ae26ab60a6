import { createHash } from 'node:crypto'
import type { RedisConnection } from './client/redis-connection.js'

/** A Lua script, which Redis caches by its hash. */
export class LuaScript {
  readonly #source: string
  readonly #hash: string

  constructor (source: string) {
    this.#source = source
    this.#hash = createHash('sha1').update(source).digest('hex')
  }

  /** Runs the script with one key. Its source is sent only if Redis does not have it. */
  async run (connection: RedisConnection, key: string, args: ReadonlyArray<string | number>): Promise<unknown> {
    try {
      return await connection.call('evalsha', [this.#hash, 1, key, ...args])
    } catch (err) {
      if (!(err instanceof Error) || !err.message.startsWith('NOSCRIPT')) throw err
      return await connection.call('eval', [this.#source, 1, key, ...args])
    }
  }
}
