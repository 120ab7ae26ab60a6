import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ServerMessage, ServerMessages } from '../../schemas/messages/server-messages.js'
import type { ClientContext } from './context.js'
import { createCursorStore, type Cursors } from './cursors.js'
import { ClientError } from './errors.js'
import { follow, type UpdateIterator } from './missions/update-iterator.js'
import type { ClientEvents, ClientState, StateCause } from './types.js'
import { createTransport } from './connection/transport.js'
import { createListeners } from './listeners.js'
import { createMissionMap, isEnding, type MissionState } from './missions/mission-map.js'
import type { ResolvedClientOptions } from './options.js'
import { createRequests, refusal } from './connection/requests.js'
import { createClientSubscriptions, type ChannelMessage } from './subscriptions.js'
import { createWaiters, type ClientWaitOptions } from './missions/wait-for.js'

export interface StartOptions {
  /** Names the command; it is carried out once however often it is sent. Random by default. */
  id?: string
  /** Time until the answer in ms, that until there is a connection too; 30,000 by default. */
  timeoutMs?: number
  /** Sends it again if the connection is lost before the answer. Only for services that know their users, or it may run twice. */
  retry?: boolean
}

/** What the service accepted. */
export type MissionAck = ServerMessages['mission_ack']['payload']

/** A connection to a service that is kept up, and what it tells. Made by `connect`. */
export interface Client {
  readonly state: ClientState
  /** Why it is in its state. */
  readonly cause: StateCause
  /** Resolves when every channel has been handed over for the first time; rejects if the client is closed before. */
  readonly ready: Promise<void>
  /** The time from the last ping to its answer in ms, if there was one. */
  readonly rttMs: number | undefined
  /** Where the client is in each channel whose messages can be had later. */
  readonly cursors: Cursors
  /** The active missions and the last 1,000 that ended, by id. It changes by itself; its values do not. */
  readonly missionsState: ReadonlyMap<string, MissionState>
  /** Listens to a channel or an event; returns the function that ends it. */
  on<Name extends ChannelName> (channel: Name, listener: (payload: ChannelPayloads[Name], message: ServerMessages[Name]) => void): () => void
  on<Name extends keyof ClientEvents> (event: Name, listener: (event: ClientEvents[Name]) => void): () => void
  /**
   * The active missions as they are at the first read, then every update. With an `id` only that one, also if it has ended, until after its
   * ending; it fails as `waitFor` does. A slow reader gets the newest progress of each mission and every other update.
   */
  missions (options?: { id?: string }): AsyncIterableIterator<MissionUpdate, undefined>
  /**
   * Waits for the end of a mission and gives its last state, however that becomes known.
   * @throws MC_CLIENT_NOT_FOUND, MC_CLIENT_LOST, MC_CLIENT_TIMEOUT, MC_CLIENT_ABORTED, MC_CLIENT_CLOSED
   */
  waitFor (id: string, options?: ClientWaitOptions): Promise<MissionState>
  /** Asks the service to start work. @throws MC_CLIENT_REFUSED, MC_CLIENT_OUTCOME_UNKNOWN, MC_CLIENT_TIMEOUT, MC_CLIENT_CLOSED */
  start (command: string, options?: StartOptions): Promise<MissionAck>
  /** Asks the service to end a mission. Sent again if the connection is lost, because twice is as once. @throws as `start` */
  cancel (missionId: string, options?: { timeoutMs?: number }): Promise<MissionAck>
  /** The time to the service and back in ms. @throws as `start` */
  ping (): Promise<number>
  /** Closes the connection for good. Whatever waits is rejected, iterations end. */
  close (): void
}

const PROTOCOL_VERSION = 1

export function createClient (options: ResolvedClientOptions): Client {
  const { random, window, filter } = options
  const listeners = createListeners()
  const feeds = new Set<UpdateIterator>()
  const idPrefix = random().toString(36).slice(2)
  let asked = 0
  let rttMs: number | undefined
  let isNewVersionTold = false
  let isReady!: () => void
  let isNotReady!: (error: ClientError) => void
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve
    isNotReady = reject
  })
  // Who does not wait for it shall not be told of it by the process.
  ready.catch(() => {})

  const missions = createMissionMap(filter)
  const { states } = missions
  const { emit, on } = listeners
  const core: ClientContext = {
    ...options,
    missions,
    state: 'connecting',
    cause: 'start',
    isUp: false,
    emit,
    makeId: () => `${idPrefix}-${++asked}`,
    send: (message) => link.send(message)
  }
  const store = createCursorStore(core, () => subscriptions.cursors)
  const requests = createRequests(core)
  const { ask } = requests
  const waiters = createWaiters(core, ask, () => core.isUp && !subscriptions.isBusy)
  const subscriptions = createClientSubscriptions(core, store.load(options.channels), {
    onMessage: tell,
    onMoved: store.touch,
    onReady (isAll) {
      if (isAll) isReady()
      waiters.askMissing()
    }
  })
  const link = createTransport(core, {
    onUp () {
      isNewVersionTold = false
      subscriptions.resume()
      requests.up()
    },
    onDown () {
      requests.down()
      waiters.down()
    },
    onText: read,
    onClosed: end,
    ask: () => { ping().catch(() => {}) }
  })

  async function ping (): Promise<number> {
    return (rttMs = (await ask({ type: 'ping' }, { retry: true }))[1])
  }

  function end (cause: StateCause): void {
    const error = core.closed = new ClientError('CLOSED', cause)
    window?.removeEventListener('pagehide', store.flush)
    store.flush()
    isNotReady(error)
    requests.close(error)
    for (const feed of feeds) feed.end()
    waiters.close(error)
  }

  function read (text: unknown): void {
    try {
      receive(JSON.parse(text as string) as ServerMessage)
    } catch (cause) {
      emit('error', new ClientError('BAD_MESSAGE', String(text), cause))
    }
  }

  function receive (message: ServerMessage): void {
    const protocolVersion: number = message.protocolVersion
    if (protocolVersion > PROTOCOL_VERSION && !isNewVersionTold) {
      isNewVersionTold = true
      emit('version', { protocolVersion })
    }
    // Before whoever asked goes on: a wait for it may begin before its first update comes.
    if (message.type === 'mission_ack') waiters.expect(message.payload.missionId)
    if (requests.answer(message)) return
    const take = receivers[message.type as 'heartbeat'] ?? subscriptions.take
    take(message as never)
  }

  const refused = (message: ServerMessages['protocol_error' | 'subscription_error']): void => {
    emit('error', refusal(message.error))
    subscriptions.refused(message.replyTo)
  }

  // Messages of channels, and those that are not known here, are for the subscriptions.
  const receivers = {
    subscription_ack: subscriptions.subscription_ack,
    subscription_gap: subscriptions.subscription_gap,
    heartbeat ({ intervalMs = core.heartbeatMs, heads = {} }: ServerMessages['heartbeat']) {
      core.heartbeatMs = intervalMs
      subscriptions.compareHeads(heads)
      waiters.beat()
    },
    server_draining ({ payload }: ServerMessages['server_draining']) {
      core.reconnectAt = core.clock.monotonic() + payload.retryAfterMs
    },
    subscription_error: refused,
    protocol_error: refused
  }

  function tell (message: ChannelMessage): void {
    const { type, payload, position } = message
    if (core.closed) return
    emit(type, payload, message)
    if (type !== 'mission_update') return
    for (const { push } of feeds) push(payload, !position && !isEnding(payload.status))
    waiters.tell(states.get(payload.missionId) ?? payload)
  }

  window?.addEventListener('pagehide', store.flush)

  return {
    get state () { return core.state },
    get cause () { return core.cause },
    ready,
    get rttMs () { return rttMs },
    get cursors () { return subscriptions.cursors },
    missionsState: states,
    on,
    missions: ({ id } = {}) => follow(id, (feed) => {
      feeds.add(feed)
      for (const state of states.values()) if (id || !isEnding(state.status)) feed.push({ ...state, snapshot: true })
      // Also the end of a mission that the filter hides.
      if (core.closed) feed.end()
      const remove = id && waiters.add(id, { resolve: feed.push, reject: feed.end })
      return () => {
        feeds.delete(feed)
        if (remove) remove()
      }
    }),
    waitFor: waiters.wait,
    start: async (command, asks) => (await ask<'mission_start'>({ type: 'mission_start', command }, asks))[0].payload,
    cancel: async (missionId, asks) => (await ask<'mission_cancel'>({ type: 'mission_cancel', missionId }, { ...asks, retry: true }))[0].payload,
    ping,
    close: () => link.close('closed')
  }
}
