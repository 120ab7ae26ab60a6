import type { Backplane } from '../contract.js'
import { resolveRedisOptions, type RedisBackplaneOptions } from './options.js'
import { RedisLog } from './redis-log.js'

export type { RedisBackplaneOptions } from './options.js'
export type { RedisClientLike } from './client/redis-client.js'

/**
 * Connects the processes of a service through Redis 7 or Valkey. All processes with the same namespace share one log.
 * Nothing is loaded or connected before a process joins.
 *
 * @throws FST_MC_INVALID_OPTION if an option is unknown or outside its bounds
 */
export function redisBackplane (options: RedisBackplaneOptions): Backplane {
  const resolved = resolveRedisOptions(options)
  return { leaseMs: resolved.leaseMs, connect: (context) => new RedisLog(resolved, context) }
}
