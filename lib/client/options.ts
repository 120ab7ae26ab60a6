import type { ChannelName } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import { CHANNELS } from './channels.js'
import { ClientError } from './errors.js'
import { platform, clientSystemClock, type ClientClock, type PageEvents, type PageVisibility, type SocketConstructor, type StorageLike } from './connection/platform.js'

/** Options of `connect`; all have a default. */
export interface ClientOptions {
  /** What to listen to; `['mission_update']` by default. */
  channels?: readonly ChannelName[]
  /** Which missions to hear of; all by default. */
  filter?: SubscriptionFilter
  /** Gives the token of a connection, anew for each. It goes along as a subprotocol, because browsers can send no header. */
  getToken?: () => string | Promise<string>
  /** The class of the socket: that of `ws` or any that is like a browser's; `globalThis.WebSocket` by default. */
  WebSocket?: SocketConstructor
  /** Keeps cursors over a reload, as `sessionStorage` does; nowhere by default. */
  storage?: StorageLike
  /** The key in the storage; made from the URL by default. */
  storageKey?: string
  /** Time between two heartbeats in ms until the service says it; 30,000 by default. */
  heartbeatMs?: number
  /** Time and timers; the machine's by default. */
  clock?: ClientClock
  /** Gives a number from 0 to below 1; `Math.random` by default. */
  random?: () => number
  /** Says whether the page is seen; the page's own by default. */
  document?: PageVisibility
  /** Says when the network or the page is back; the page's own by default. */
  window?: PageEvents
}

export type ResolvedClientOptions = Required<Omit<ClientOptions, 'filter' | 'getToken' | 'storage' | 'document' | 'window'>> & ClientOptions & { url: string }

/** The names of the options by what `typeof` says of them. */
const NAMES: { readonly [type: string]: ReadonlyArray<keyof ClientOptions> } = {
  object: ['channels', 'filter', 'storage', 'clock', 'document', 'window'],
  function: ['getToken', 'WebSocket', 'random'],
  string: ['storageKey'],
  number: ['heartbeatMs']
}

/** The options with defaults. @throws MC_CLIENT_INVALID_OPTION */
export function resolveClientOptions (url: string, options: ClientOptions): ResolvedClientOptions {
  const { WebSocket, document, addEventListener, location } = platform
  const resolved = {
    WebSocket,
    document,
    window: addEventListener && platform as PageEvents,
    ...options,
    channels: options.channels ?? ['mission_update'],
    storageKey: options.storageKey ?? `mission-control ${url}`,
    heartbeatMs: options.heartbeatMs ?? 30_000,
    clock: options.clock ?? clientSystemClock,
    random: options.random ?? Math.random
  }
  const { channels, filter, heartbeatMs } = resolved
  for (const [name, value] of Object.entries(resolved)) check(name, value === undefined || NAMES[typeof value]?.includes(name as keyof ClientOptions))
  check('WebSocket', resolved.WebSocket)
  check('heartbeatMs', heartbeatMs > 0)
  check('channels', channels[0] && channels.every((name) => CHANNELS.includes(name)))
  check('filter', !filter || channels.includes('mission_update'))
  return { ...resolved, url: absolute(url, location?.href) } as ResolvedClientOptions
}

function check (name: string, isRight: unknown): void {
  if (!isRight) throw new ClientError('INVALID_OPTION', name)
}

// Older browsers take no relative URL and no http: in a WebSocket's.
function absolute (url: string, base: string | undefined): string {
  try {
    url = new URL(url, base).href
  } catch {}
  check('url', /^(http|ws)s?:/.test(url))
  return url.replace(/^http/, 'ws')
}
