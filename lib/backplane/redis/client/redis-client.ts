/**
 * A client of ioredis or iovalkey, for one server, Sentinels or a cluster. It is not used itself, changed or closed:
 * connections with its settings are opened beside it.
 */
export interface RedisClientLike {
  readonly status: string
  duplicate (...options: never[]): unknown
}

/** What is used of a client. */
export interface RedisClient {
  readonly status: string
  readonly options: { readonly db?: number }
  call (command: string, args: ReadonlyArray<string | number>): Promise<unknown>
  on (event: string, listener: (...values: never[]) => void): unknown
  connect (): Promise<unknown>
  disconnect (reconnect?: boolean): void
}

/** Creates a client that connects when it is told to. */
export type CreateClient = () => RedisClient

const RETRY_MS = 1_000

const retryStrategy = (attempts: number): number => Math.min(attempts * 50, RETRY_MS)

/**
 * Settings of each connection. Commands neither wait in the client while Redis is away nor are sent again by it,
 * because the caller decides what to send when Redis is back.
 */
export const CONNECTION_OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableReadyCheck: true,
  enableAutoPipelining: false,
  maxRetriesPerRequest: null,
  commandTimeout: undefined,
  // A connection that is dropped because Redis hangs would otherwise take 2 seconds to close.
  disconnectTimeout: 100,
  reconnectOnError: null,
  stringNumbers: false,
  readOnly: false,
  retryStrategy
}

/** Settings of a client of a cluster, which passes `redisOptions` on to the connections to its nodes. */
export const CLUSTER_OPTIONS = {
  lazyConnect: true,
  enableOfflineQueue: false,
  enableReadyCheck: true,
  enableAutoPipelining: false,
  scaleReads: 'master',
  clusterRetryStrategy: retryStrategy
}
