import { createClient, type Client } from './client.js'
import { resolveClientOptions, type ClientOptions } from './options.js'

export type { Client, MissionAck, StartOptions } from './client.js'
export type { Cursors } from './cursors.js'
export { ClientError, type ClientErrorCode } from './errors.js'
export type { ClientEvents, ClientState, Divergence, ChannelGap, StateCause } from './types.js'
export type { MissionState } from './missions/mission-map.js'
export type { ClientOptions } from './options.js'
export type { AbortSignalLike, ClientClock, ClientTimer, PageEvents, PageVisibility, SocketConstructor, SocketEvent, SocketLike, StorageLike } from './connection/platform.js'
export type { ClientWaitOptions } from './missions/wait-for.js'

/**
 * Connects to the WebSocket route of a service and keeps the connection up until `close`. `url` may be relative to the page.
 *
 * Every message that must arrive reaches the listeners once and in the order of its mission, over cuts and, with a `storage`, over reloads;
 * where the service no longer has what was missed, a `gap` is told and the present state comes.
 *
 * @throws MC_CLIENT_INVALID_OPTION
 * @example
 * const client = connect('/ws/mission-control', { storage: sessionStorage })
 * client.on('mission_update', ({ name, status }) => console.log(name, status))
 */
export function connect (url: string, options: ClientOptions = {}): Client {
  return createClient(resolveClientOptions(url, options))
}
