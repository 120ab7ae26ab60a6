import type { ChannelName } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import { CHANNELS } from './channels.js'
import { ClientError } from './errors.js'
import { clientSystemClock, platform } from './connection/platform.js'
import type { ClientClock, PageEvents, PageVisibility, SocketConstructor, StorageLike } from './connection/platform.js'

/** Options of `connect`. Every option has a default. */
export interface ClientOptions {
  /** Channels to subscribe to; `['mission_update']` by default. */
  channels?: readonly ChannelName[]
  /** Missions to receive updates of; all by default. */
  filter?: SubscriptionFilter
  /** Returns a token, called for every connection. It is sent as a subprotocol, because browsers cannot set headers. */
  getToken?: () => string | Promise<string>
  /** WebSocket class, for example that of `ws`; `globalThis.WebSocket` by default. */
  WebSocket?: SocketConstructor
  /** Stores cursors across page reloads, for example `sessionStorage`; none by default. */
  storage?: StorageLike
  /** Key in the storage; derived from the URL by default. */
  storageKey?: string
  /** Heartbeat interval in ms until the service has announced its own; 30,000 by default. */
  heartbeatMs?: number
  /** Time and timers; those of the machine by default. */
  clock?: ClientClock
  /** Returns a random number from 0 to less than 1; `Math.random` by default. */
  random?: () => number
  /** Tells whether the page is visible; `globalThis.document` by default. */
  document?: PageVisibility
  /** Emits `online`, `pageshow` and `pagehide`; `globalThis` by default. */
  window?: PageEvents
}

type OptionalNames = 'filter' | 'getToken' | 'storage' | 'document' | 'window'

export type ResolvedClientOptions = Required<Omit<ClientOptions, OptionalNames>> & ClientOptions & { url: string }

/** Names of the options by the type of their values. */
const NAMES: { readonly [type: string]: ReadonlyArray<keyof ClientOptions> } = {
  object: ['channels', 'filter', 'storage', 'clock', 'document', 'window'],
  function: ['getToken', 'WebSocket', 'random'],
  string: ['storageKey'],
  number: ['heartbeatMs']
}

/** Checks the options and adds the defaults. @throws MC_CLIENT_INVALID_OPTION */
export function resolveClientOptions (url: string, options: ClientOptions): ResolvedClientOptions {
  const { WebSocket, document, addEventListener, location } = platform
  const resolved: Record<string, unknown> = {
    WebSocket,
    document,
    window: addEventListener && platform,
    channels: ['mission_update'],
    storageKey: `mission-control ${url}`,
    heartbeatMs: 30_000,
    clock: clientSystemClock,
    random: Math.random
  }
  for (const [name, value] of Object.entries(options)) {
    check(name, value === undefined || NAMES[typeof value]?.includes(name as keyof ClientOptions))
    resolved[name] = value ?? resolved[name]
  }
  const { channels, filter, heartbeatMs } = resolved as unknown as ResolvedClientOptions
  check('WebSocket', resolved['WebSocket'])
  check('heartbeatMs', heartbeatMs > 0)
  check('channels', channels[0] && channels.every((name) => CHANNELS.includes(name)))
  check('filter', !filter || channels.includes('mission_update'))
  resolved['url'] = absolute(url, location?.href)
  return resolved as unknown as ResolvedClientOptions
}

function check (name: string, isValid: unknown): void {
  if (!isValid) throw new ClientError('INVALID_OPTION', name)
}

// Older browsers accept neither relative URLs nor `http:` for a WebSocket.
function absolute (url: string, base: string | undefined): string {
  try {
    url = new URL(url, base).href
  } catch {}
  check('url', /^(http|ws)s?:/.test(url))
  return url.replace(/^http/, 'ws')
}
