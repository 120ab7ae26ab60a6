import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ServerMessages } from '../../schemas/messages/server-messages.js'
import type { ClientMessages } from '../../schemas/messages/client-messages.js'
import type { Answers } from './connection/requests.js'
import type { ClientIterateOptions } from './missions/iterators.js'
import type { ClientWaitOptions } from './missions/wait-for.js'
import type { Cursors } from './subscriptions/cursors.js'
import type { ClientEvents, ClientMissionState, ClientState, MissionsState, StateCause } from './types.js'

export interface StartOptions {
  /** Identifies the command. The service runs a command once, even if it receives it twice. Random by default. */
  id?: string
  /** Time limit in ms for the answer, including the time until the connection is open; 30,000 by default. */
  timeoutMs?: number
  /**
   * Sends the command again if the connection is lost before the answer. Use it only with a service that identifies
   * its users; any other service may run the command twice.
   */
  retry?: boolean
}

/** Answer of the service to an accepted command. */
export type MissionAck = ServerMessages['mission_ack']['payload']

type ChannelListener<Name extends ChannelName> = (payload: ChannelPayloads[Name], message: ServerMessages[Name]) => void

/** A connection to a service that reconnects until it is closed. Created by `connect`. */
export interface Client {
  readonly state: ClientState
  /** Why the client is in its state. */
  readonly cause: StateCause
  /** Resolves when every channel has caught up once; rejects if one is refused, or if the client is closed before. */
  readonly ready: Promise<void>
  /** Round-trip time of the last ping in ms. */
  readonly rttMs: number | undefined
  /** Position and message id of the last reliable message, per channel. */
  readonly cursors: Cursors
  /**
   * Active missions and the last 1,000 that ended, by id. The map is live; its values never change. It is a store for
   * pages too, with `subscribe` and `getSnapshot`.
   */
  readonly missionsState: MissionsState
  /**
   * Adds a listener for a channel of this client or for an event. Returns the function that removes it.
   * @throws MC_CLIENT_INVALID_OPTION
   */
  on<Name extends ChannelName> (channel: Name, listener: ChannelListener<Name>): () => void
  on<Name extends keyof ClientEvents> (event: Name, listener: (event: ClientEvents[Name]) => void): () => void
  /**
   * Iterates over the active missions as they are at the first read, then over every update. With an `id`: only over
   * this mission, even if it has ended, until its end; rejects as `waitFor` does. A slow reader gets the newest
   * progress of each mission and every other update. `return` and `signal` end it at once.
   */
  missions (options?: ClientIterateOptions): AsyncIterableIterator<MissionUpdate, undefined>
  /**
   * Waits for the end of a mission and returns its final state.
   * @throws MC_CLIENT_NOT_FOUND, MC_CLIENT_LOST, MC_CLIENT_TIMEOUT, MC_CLIENT_ABORTED, MC_CLIENT_CLOSED
   */
  waitFor (id: string, options?: ClientWaitOptions): Promise<ClientMissionState>
  /**
   * Starts a mission with a command of the service.
   * @throws MC_CLIENT_REFUSED, MC_CLIENT_OUTCOME_UNKNOWN, MC_CLIENT_TIMEOUT, MC_CLIENT_CLOSED
   */
  start (command: string, options?: StartOptions): Promise<MissionAck>
  /**
   * Cancels a mission. The reason is visible to everyone who sees the mission. The request is sent again if the
   * connection is lost, because cancelling is idempotent.
   * @throws as `start`
   */
  cancel (missionId: string, options?: { timeoutMs?: number, reason?: string }): Promise<MissionAck>
  /**
   * Sends a request of the protocol and returns the payload of its answer. The request is sent again if the connection
   * is lost before: use it for questions, such as `{ type: 'mission_list', query: { q: 'import' } }`.
   * @throws as `start`
   */
  request<Type extends keyof Answers> (
    request: Omit<ClientMessages[Type], 'id'>, options?: { timeoutMs?: number }
  ): Promise<Answers[Type]>
  /** Measures the round-trip time in ms. @throws as `start` */
  ping (): Promise<number>
  /** Closes the connection permanently. Pending calls reject with MC_CLIENT_CLOSED; iterations end. */
  close (): void
}
