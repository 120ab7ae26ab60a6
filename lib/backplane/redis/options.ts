import { InvalidOption } from '../../base/errors.js'
import type { RedisClientLike } from './client/redis-client.js'

export interface RedisBackplaneOptions {
  /**
   * A client of ioredis or iovalkey, or a `redis://`, `rediss://` or `unix://` URL, for which one of these packages
   * must be installed. A client is neither changed nor closed: the backplane opens three connections like it.
   */
  client: string | RedisClientLike
  /**
   * Separates services that share a Redis server: 1 to 64 characters without spaces and braces. Default:
   * `mission-control`.
   */
  namespace?: string
  /** How long a process may be silent before it counts as dead, in ms: 3,000 to 300,000. Default: 15,000. */
  leaseMs?: number
}

export type ResolvedRedisOptions = Readonly<Required<RedisBackplaneOptions>>

const DEFAULTS = { namespace: 'mission-control', leaseMs: 15_000 }

const NAMES = ['client', 'namespace', 'leaseMs']

const URL_START = /^(redis|rediss|unix):\/\/./

const NAMESPACE = /^[^\s{}]{1,64}$/

/**
 * Returns the options completed with defaults.
 *
 * @throws FST_MC_INVALID_OPTION with the option and its bounds
 */
export function resolveRedisOptions (input: RedisBackplaneOptions): ResolvedRedisOptions {
  if (typeof input !== 'object' || input === null) refuse('the options must be an object')
  const unknown = Object.keys(input).find((name) => !NAMES.includes(name))
  if (unknown !== undefined) refuse(`${unknown} is not an option; the options are ${NAMES.join(', ')}`)
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
  const options = { ...DEFAULTS, ...given } as ResolvedRedisOptions
  checkClient(options.client)
  if (typeof options.namespace !== 'string' || !NAMESPACE.test(options.namespace)) {
    refuse('namespace must be a string of 1 to 64 characters without spaces and braces')
  }
  if (!Number.isInteger(options.leaseMs) || options.leaseMs < 3_000 || options.leaseMs > 300_000) {
    refuse('leaseMs must be a whole number from 3000 to 300000')
  }
  return options
}

function checkClient (client: unknown): void {
  if (typeof client === 'string') {
    if (!URL_START.test(client)) refuse('client is a string, but not a redis://, rediss:// or unix:// URL')
    return
  }
  const { duplicate, call, status } = (client ?? {}) as Record<string, unknown>
  if (typeof duplicate === 'function' && typeof call === 'function' && typeof status === 'string') return
  refuse('client must be a client of ioredis or iovalkey, or a redis://, rediss:// or unix:// URL')
}

function refuse (reason: string): never {
  throw new InvalidOption(`redisBackplane: ${reason}`)
}
