import type { ChannelName } from '../../schemas/channels/index.js'
import type { CloseReason } from '../../schemas/messages/close-codes.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { ClientError } from './errors.js'
import type { MissionState } from './missions/mission-map.js'

/** `stale`: nothing was heard for two heartbeats, and the service has been asked whether it is there. */
export type ClientState = 'connecting' | 'open' | 'stale' | 'waiting' | 'closed'

/** Why the client is in its state; docs/client.md says which goes with which state. `close_1006` and the like are closes without a reason. */
export type StateCause =
  | 'start' | 'retry' | 'online' | 'pageshow' | 'visibilitychange'
  | 'connected' | 'answered' | 'silent'
  | 'unreachable' | 'no_answer' | 'hidden' | 'token_failed' | 'invalid_token' | 'closed' | CloseReason | `close_${number}`

/** Messages of a channel that this client will not get; the present state of the channel comes next. */
export interface ChannelGap { channel: ChannelName, cause: GapCause, range?: { epoch: string, from: number, to: number } }

/** The client held other missions than the service; `isRepaired` says whether it has asked for all of them anew. */
export interface Divergence { expected: string, actual: string, isRepaired: boolean }

/** What `on` tells besides the messages of channels. */
export interface ClientEvents {
  state: { state: ClientState, cause: StateCause }
  /** Comes before the present state of the channel. */
  gap: ChannelGap
  error: ClientError
  /** A mission that was active, and that the service no longer knows or no longer shows. */
  lost: MissionState
  diverged: Divergence
  /** The service speaks a newer protocol; what this client knows of it still holds. */
  version: { protocolVersion: number }
}
