import type { ChannelName } from '../../schemas/channels/index.js'
import type { CloseReason } from '../../schemas/messages/close-codes.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { ClientError } from './errors.js'
import type { ClientMissionState } from './missions/mission-map.js'

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
  state: { state: ClientState, cause: StateCause }
  /** Emitted before the snapshot of the channel. */
  gap: ChannelGap
  error: ClientError
  /** The last known state of an active mission that the service no longer knows or no longer shows. */
  lost: ClientMissionState
  diverged: Divergence
  /** The service uses a newer protocol version. Everything this client knows still applies. */
  version: { protocolVersion: number }
}
