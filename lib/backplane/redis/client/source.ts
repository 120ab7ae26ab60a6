import { InvalidOption } from '../../../base/errors.js'
import {
  CLUSTER_OPTIONS, CONNECTION_OPTIONS, type CreateClient, type RedisClient, type RedisClientLike
} from './redis-client.js'

type ClientClass = new (url: string, options: object) => RedisClient

interface Template {
  readonly isCluster?: boolean
  readonly options?: { readonly redisOptions?: object }
  duplicate (...values: unknown[]): RedisClient
}

/** Loads modules whose default export is a class of clients, in the order in which they are tried. */
export type ClientModules = ReadonlyArray<() => Promise<unknown>>

export const CLIENT_MODULES: ClientModules = [async () => await import('ioredis'), async () => await import('iovalkey')]

/**
 * Returns how connections are created: like a given client, or from a URL.
 *
 * @throws FST_MC_INVALID_OPTION if `client` is a URL and none of the modules is installed
 */
export async function findClients (client: string | RedisClientLike, modules = CLIENT_MODULES): Promise<CreateClient> {
  if (typeof client === 'string') {
    const Client = await loadClass(modules)
    return () => new Client(client, CONNECTION_OPTIONS)
  }
  const template = client as unknown as Template
  return template.isCluster === true
    ? () => template.duplicate([], withRedisOptions(template))
    : () => template.duplicate(CONNECTION_OPTIONS)
}

const withRedisOptions = ({ options }: Template): object => {
  const { retryStrategy, lazyConnect, ...redisOptions } = CONNECTION_OPTIONS
  return { ...CLUSTER_OPTIONS, redisOptions: { ...options?.redisOptions, ...redisOptions } }
}

async function loadClass (modules: ClientModules): Promise<ClientClass> {
  for (const load of modules) {
    const loaded = await load().catch(() => undefined) as { default?: { default?: ClientClass } } | undefined
    if (loaded !== undefined) return (loaded.default?.default ?? loaded.default) as ClientClass
  }
  throw new InvalidOption('the option client is a URL, for which ioredis or iovalkey must be installed')
}
