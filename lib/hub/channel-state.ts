import { LOGGED_CHANNELS } from '../../schemas/channels/index.js'
import type { Timer } from '../base/clock.js'
import type { Channel } from './channel.js'
import { GroupRoutes, type SubscriberGroup } from './subscriptions/group-routes.js'
import type { Message } from './wire/message.js'

/** What the hub keeps of one channel. Every publish reads it, so it is one plain object without accessors. */
export interface ChannelState {
  readonly channel: Channel
  /** Whether reliable messages of the channel are kept in the message log. */
  readonly isLogged: boolean
  /** By the key of their filter. */
  readonly groups: Map<string, SubscriberGroup>
  readonly routes: GroupRoutes
  /**
   * The last-value cache of a logged channel: the newest replaceable message per key. A client that resumes gets these
   * in addition to the log, which holds reliable messages only.
   */
  readonly latestValues: Map<string, Message>
  /** With a shared log, the offset of the last message before this process began to keep the latest values; else -1. */
  begunAt: number
  /** Whether the channel runs: it has subscribers, or its log is kept for clients that may reconnect. */
  isOpen: boolean
  closeTimer: Timer | undefined
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)

/** The state of a channel that has no subscribers yet. */
export function createChannelState (channel: Channel): ChannelState {
  return {
    channel,
    isLogged: LOGGED.has(channel.name),
    groups: new Map(),
    routes: new GroupRoutes(channel),
    latestValues: new Map(),
    begunAt: -1,
    isOpen: false,
    closeTimer: undefined
  }
}
