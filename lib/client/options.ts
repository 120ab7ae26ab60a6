import type { ChannelName } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { LatencyPart } from '../../schemas/metrics.js'
import { CHANNELS, LATENCY, STATUSES } from './channels.js'
import { check } from './errors.js'
import { countBytes } from './connection/pace.js'
import { clientSystemClock, platform } from './connection/platform.js'
import type { ClientClock, PageEvents, PageVisibility, SocketConstructor, StorageLike } from './connection/platform.js'

/** Options of `connect`. Every option has a default. */
export interface ClientOptions {
  /** Channels to subscribe to; `['mission_update']` by default. */
  channels?: readonly ChannelName[]
  /** Missions to receive updates of; all by default. */
  filter?: SubscriptionFilter
  /** Additional content of `metrics_tick`; none by default. */
  latency?: readonly LatencyPart[]
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
  /** Reports whether the page is visible; `globalThis.document` by default. */
  document?: PageVisibility
  /** Emits `online`, `pageshow` and `pagehide`; `globalThis` by default. */
  window?: PageEvents
}

type OptionalNames = 'filter' | 'latency' | 'getToken' | 'storage' | 'document' | 'window'

export type ResolvedClientOptions = Required<Omit<ClientOptions, OptionalNames>> & ClientOptions & { url: string }

/** Names of the options by the type of their values. */
const NAMES: { readonly [type: string]: ReadonlyArray<keyof ClientOptions> } = {
  object: ['channels', 'filter', 'latency', 'storage', 'clock', 'document', 'window'],
  function: ['getToken', 'WebSocket', 'random'],
  string: ['storageKey'],
  number: ['heartbeatMs']
}

const MAX_FILTER_BYTES = 15_000
const MAX_VALUES: Readonly<Record<keyof SubscriptionFilter, number>> = {
  missionIds: 64, names: 16, tags: 16, statuses: 8
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
  // An object of a class defines options by its getters and methods, too.
  for (const name of new Set([...Object.values(NAMES).flat(), ...Object.keys(options)])) {
    let value: unknown = options[name as keyof ClientOptions]
    if (value === undefined) continue
    if (typeof value === 'function' && !Object.hasOwn(options, name)) value = value.bind(options)
    check(name, value !== null && NAMES[typeof value]?.includes(name as keyof ClientOptions))
    resolved[name] = value
  }
  const { channels, filter, latency, heartbeatMs } = resolved as unknown as ResolvedClientOptions
  check('WebSocket', resolved['WebSocket'])
  check('heartbeatMs', heartbeatMs > 0)
  check('channels', isSet(channels, CHANNELS))
  check('latency', !latency || (channels.includes('metrics_tick') && isSet(latency, LATENCY)))
  if (filter) {
    // A `subscribe` that is larger than the service accepts would close the client.
    check('filter', channels.includes('mission_update') && countBytes(filter) <= MAX_FILTER_BYTES)
    for (const [name, values] of Object.entries(filter)) {
      const max = MAX_VALUES[name as keyof SubscriptionFilter]
      check(`filter.${name}`, values === undefined ||
        (isList(values, name === 'statuses' && STATUSES) && values.length <= max))
    }
  }
  resolved['url'] = absolute(url, location?.href)
  return resolved as unknown as ResolvedClientOptions
}

/** Whether this is an array of at least one of the texts that are known, or of texts with 1 to 256 characters. */
const isList = (values: unknown, known: readonly string[] | false): boolean =>
  Array.isArray(values) && values.length > 0 && values.every((value) =>
    known ? known.includes(value) : typeof value === 'string' && value.length > 0 && value.length <= 256)

const isSet = (values: readonly unknown[], known: readonly string[]): boolean =>
  isList(values, known) && new Set(values).size === values.length

// Older browsers accept neither relative URLs nor `http:` for a WebSocket.
function absolute (url: string, base: string | undefined): string {
  try {
    url = new URL(url, base).href
  } catch {}
  check('url', /^(http|ws)s?:/.test(url))
  return url.replace(/^http/, 'ws')
}
