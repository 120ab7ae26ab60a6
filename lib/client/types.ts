import type { ChannelName } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { CloseReason } from '../../schemas/messages/close-codes.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { ClientError } from './errors.js'

/** `stale`: no message has arrived for two heartbeats, and the client has sent a ping. */
export type ClientState = 'connecting' | 'open' | 'stale' | 'waiting' | 'closed'

/**
 * Why the client is in its state. docs/client.md lists the causes of each state. `close_1006` and the like stand for a
 * close without a reason.
 */
export type StateCause =
  | 'start' | 'retry' | 'online' | 'pageshow' | 'visibilitychange'
  | 'connected' | 'answered' | 'silent'
  | 'unreachable' | 'no_answer' | 'hidden' | 'token_failed' | 'invalid_token' | 'closed'
  | CloseReason | `close_${number}`

/** The newest value of each field of a mission. An update creates a new object and never changes an existing one. */
export type ClientMissionState = Omit<MissionUpdate, 'snapshot' | 'previousStatus'>

/** What a page shows. It is frozen, and the same object until something in it changes. */
export interface MissionsSnapshot {
  /** Active missions and the last 1,000 that ended, in the order in which the client received them first. */
  readonly missions: readonly ClientMissionState[]
  /** Active missions that the last full state of the service did not contain. The next full state replaces the list. */
  readonly lost: readonly ClientMissionState[]
  readonly state: ClientState
}

/** The missions as a live map, and as a store for pages. */
export interface MissionsState extends ReadonlyMap<string, ClientMissionState> {
  /**
   * Calls `listener` after changes, at most once per animation frame; in the background and outside of a page at most
   * once per turn. Returns the function that removes it.
   */
  subscribe (listener: (snapshot: MissionsSnapshot) => void): () => void
  /** With a subscriber, it changes only when the subscribers are called. */
  getSnapshot (): MissionsSnapshot
}

/** Messages of a channel that the service can no longer send. A snapshot of the channel follows. */
export interface ChannelGap {
  channel: ChannelName
  cause: GapCause
  range?: { epoch: string, from: number, to: number }
}

/**
 * The missions of the client and the service differ by their checksums. `isRepaired`: the client has requested all of
 * them again.
 */
export interface Divergence { expected: string, actual: string, isRepaired: boolean }

/** Events of a client, besides the messages of its channels. */
export interface ClientEvents {
  /** `retryInMs` is the time until the next attempt to connect, in the state `waiting`. */
  state: { state: ClientState, cause: StateCause, retryInMs?: number }
  /** Emitted before the snapshot of the channel. */
  gap: ChannelGap
  error: ClientError
  /** The last known state of an active mission that the service no longer knows or no longer shows. */
  lost: ClientMissionState
  diverged: Divergence
  /** The service uses a newer protocol version. Everything this client knows still applies. */
  version: { protocolVersion: number }
}
