import { CHANNEL_NAMES, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { CLOSE_CODES } from '../../schemas/messages/close-codes.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS } from '../../schemas/messages/server-messages.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { afterAtMost, createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import { Admission, REFUSALS, type RefusalReason } from './connections/admission.js'
import type { Channel } from './channel.js'
import { CLOSE_GRACE_MS, Connection, type SharedConnectionDeps, type Socket } from './connections/connection.js'
import { HubMetrics } from './metrics.js'
import { Dispatcher, type CommandPort, type DispatcherDeps } from './dispatcher.js'
import { budgetOwnerOf, Principals } from './delivery/hand-over-budget.js'
import { Drain } from './connections/drain.js'
import { Envelope } from './wire/envelope.js'
import { Heartbeat } from './connections/heartbeat.js'
import { Authorizer } from './subscriptions/authorizer.js'
import { Broadcaster } from './broadcaster.js'
import { pingIntervalMs } from './connections/liveness.js'
import { LivenessTimer } from './connections/liveness-timer.js'
import { createSocketEvents, type SocketEvents } from './socket-events.js'

export interface HubDeps {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  commands: CommandPort
  findMission: DispatcherDeps['findMission']
  onCallbackError: (where: string, err: unknown) => void
}

/**
 * Knows all connections and their subscriptions, and encodes each message once for all of them. Depends on neither
 * missions nor Fastify.
 */
export class Hub {
  readonly #deps: HubDeps
  readonly #connections = new Set<Connection>()
  readonly #broadcaster: Broadcaster
  readonly #connectionDeps: SharedConnectionDeps
  readonly #livenessTimer: LivenessTimer
  readonly #dispatcher: Dispatcher
  readonly #heartbeat: Heartbeat
  readonly #metrics = new HubMetrics({
    refused: REFUSALS,
    closed: Object.keys(CLOSE_CODES),
    protocolErrors: [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  })

  readonly #principals = new Principals()
  readonly #admission: Admission
  readonly #drain: Drain
  #heartbeatTimer: Timer | undefined
  #closing: Promise<void> | undefined
  #onEmpty: (() => void) | undefined

  constructor (deps: HubDeps) {
    const { clock, server, options, channels, commands, findMission, onCallbackError } = deps
    const metrics = this.#metrics
    const envelope = new Envelope(clock, server)
    const authorizer = new Authorizer(options.authorize, onCallbackError)
    const broadcaster = new Broadcaster({ clock, options, channels, envelope, metrics, authorizer })
    const { scheduler, log, snapshots, fits, subscriptions, subscribeFlow } = broadcaster
    this.#deps = deps
    this.#broadcaster = broadcaster
    this.#drain = new Drain({ clock, envelope, connections: this.#connections })
    this.#admission = new Admission({ clock, options, refused: metrics.refused })
    const onBackpressure = () => this.#livenessTimer.scheduleAt(0)
    this.#connectionDeps = { clock, metrics, options, scheduler, log, snapshots, fits, onBackpressure }
    this.#livenessTimer = new LivenessTimer({
      clock,
      connections: this.#connections,
      onCheck: () => broadcaster.trim()
    })
    this.#dispatcher = new Dispatcher({
      envelope,
      subscriptions,
      metrics,
      subscribeFlow,
      commands,
      work: scheduler.work,
      onCallbackError,
      canSubscribe: ({ request }, channel) => authorizer.allows(request, { action: 'subscribe', channel }),
      canReplay: ({ request }, channel) => authorizer.allows(request, { action: 'replay', channel }),
      findMission,
      server,
      limits: { maxPayloadBytes: options.maxPayloadBytes, maxMessagesPerSecond: options.maxMessagesPerSecond }
    })
    this.#heartbeat = new Heartbeat({ envelope, log, intervalMs: options.heartbeatMs })
  }

  get isClosing (): boolean { return this.#admission.isClosing }

  /**
   * Reserves a connection, until `connect` or `release`. Returns `undefined` if one more may open, else the reason.
   */
  admit (): RefusalReason | undefined {
    return this.#admission.admit()
  }

  /** Gives up what `admit` reserved. `isRefused`: the upgrade was answered, and does not count against the rate. */
  release (isRefused: boolean): void {
    this.#admission.release(isRefused)
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    return this.#admission.refuse(reason)
  }

  /**
   * Takes over the open socket of an upgrade that `admit` has let in. The returned functions must be attached to the
   * socket in the same synchronous step, so that no message is lost.
   */
  connect (socket: Socket, request: unknown): SocketEvents {
    const id = createUnifiedId('connection')
    const principal = this.#principals.opened(budgetOwnerOf(request))
    const connection = new Connection({ id, socket, request, principal, shared: this.#connectionDeps })
    this.#add(connection)
    return createSocketEvents({
      connection,
      dispatcher: this.#dispatcher,
      metrics: this.#metrics,
      onClosed: () => {
        this.#principals.closed(principal, this.#deps.clock.monotonic())
        this.#remove(connection)
      }
    })
  }

  /** Sends a payload to all subscribers of a channel. */
  publish<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name]): void {
    this.#broadcaster.broadcast(name, payload)
  }

  wsMetrics (): WsMetrics {
    const { connectionsTotal, messagesSentTotal, subscriptionsTotal } = this.#metrics
    return {
      connectionsOpen: this.#connections.size,
      connectionsTotal,
      messagesSentTotal,
      subscriptionsTotal,
      channels: CHANNEL_NAMES.map((channel) => ({ channel, count: this.#broadcaster.subscriptions.count(channel) }))
    }
  }

  /** All metrics of the hub, for the Prometheus exposition. */
  totals () {
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, this.#broadcaster.subscriptions.count(name)])),
      ...this.#metrics.read(),
      ...this.#readOutboxes(),
      logged: this.#broadcaster.log.size,
      eventLoopDelayMs: this.#admission.eventLoopDelayMs
    }
  }

  /** Starts measuring the delay of the event loop. */
  start (): void {
    this.#admission.start()
  }

  /**
   * Refuses all further connections, and tells the clients that theirs will close in `closingMs` at the latest. Until
   * then they receive messages as before.
   */
  announceClose (closingMs: number): void {
    this.#admission.stop()
    this.#drain.announce({ closingMs, spreadMs: 0 })
  }

  /**
   * Tells the clients, and closes all connections in waves over `withinMs`. Refuses connections from the first call on.
   * Resolves when all connections are closed, at the latest after the close grace of the last wave. A later call waits
   * for the first one.
   */
  async drain (withinMs: number): Promise<void> {
    this.#admission.stop()
    this.#drain.announce({ closingMs: withinMs, spreadMs: withinMs })
    await (this.#closing ??= this.#closeAll(withinMs))
  }

  /** Closes all connections at once, even during a drain, and then the hub. Takes up to `CLOSE_GRACE_MS`. */
  async close (): Promise<void> {
    const drained = this.drain(0)
    for (const connection of this.#connections) connection.close('server_restart')
    const grace = afterAtMost(this.#deps.clock, CLOSE_GRACE_MS, () => {
      for (const connection of this.#connections) connection.terminate()
    })
    await drained
    grace.cancel()
    this.#admission.close()
    this.#broadcaster.subscriptions.close()
  }

  async #closeAll (withinMs: number): Promise<void> {
    const { clock } = this.#deps
    const startedAt = clock.monotonic()
    if (this.#connections.size > 0) {
      const empty = new Promise<void>((resolve) => { this.#onEmpty = resolve })
      this.#drain.closeAll(withinMs)
      await empty
    }
    this.#metrics.drainMs = clock.monotonic() - startedAt
  }

  #readOutboxes () {
    let outboxBytes = 0
    let lagging = 0
    for (const { outbox } of this.#connections) {
      outboxBytes += outbox.pendingBytes
      if (outbox.isLagging) lagging++
    }
    return { outboxBytes, lagging }
  }

  #add (connection: Connection): void {
    const { clock, options: { heartbeatMs } } = this.#deps
    this.#connections.add(connection)
    this.#admission.opened()
    this.#metrics.connectionsTotal++
    if (this.#heartbeatTimer !== undefined) return
    this.#heartbeatTimer = clock.every(heartbeatMs, () => this.#heartbeat.beat(this.#connections))
    this.#livenessTimer.scheduleAt(clock.monotonic() + pingIntervalMs(heartbeatMs))
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#broadcaster.subscriptions.leaveAll(connection)
    this.#admission.closed()
    if (this.#connections.size > 0) return
    this.#heartbeatTimer?.cancel()
    this.#heartbeatTimer = undefined
    this.#livenessTimer.stop()
    this.#onEmpty?.()
  }
}
