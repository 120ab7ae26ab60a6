import type { Client } from './client.js'
import { createClient } from './create-client.js'
import { resolveClientOptions, type ClientOptions } from './options.js'

export type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
export type { MissionUpdate } from '../../schemas/channels/mission-update.js'
export type { Client, MissionAck, StartOptions } from './client.js'
export type {
  AbortSignalLike, ClientClock, ClientTimer, PageEvents, PageVisibility, SocketConstructor, SocketEvent, SocketLike,
  StorageLike
} from './connection/platform.js'
export { ClientError, type ClientErrorCode } from './errors.js'
export type { ClientIterateOptions } from './missions/iterators.js'
export type { ClientWaitOptions } from './missions/wait-for.js'
export type { ClientOptions } from './options.js'
export type { Cursors } from './subscriptions/cursors.js'
export type {
  ChannelGap, ClientEvents, ClientMissionState, ClientState, Divergence, MissionsSnapshot, MissionsState, StateCause
} from './types.js'

/**
 * Connects to the WebSocket route of a service and reconnects until `close`. `url` may be relative to the page.
 *
 * Every reliable message reaches the listeners once and in the order of its mission, across lost connections and, with
 * a `storage`, across page reloads. When the service no longer has the missed messages, a `gap` event comes first, then
 * a snapshot.
 *
 * @throws MC_CLIENT_INVALID_OPTION
 * @example
 * const client = connect('/ws/mission-control', { storage: sessionStorage })
 * client.on('mission_update', ({ name, status }) => console.log(name, status))
 */
export function connect (url: string, options: ClientOptions = {}): Client {
  return createClient(resolveClientOptions(url, options))
}
