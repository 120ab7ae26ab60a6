import type { ChannelName, ChannelPayloads } from '../../schemas/channels/index.js'
import type { Principal } from '../../schemas/access.js'
import type { GapCause } from '../../schemas/messages/server-messages.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { afterAtMost, createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import { Admission, REFUSALS, type RefusalReason } from './connections/admission.js'
import type { Access } from '../access/access.js'
import { EVERYBODY, type Viewer } from '../access/viewer.js'
import { Expiry } from './connections/expiry.js'
import { FlushScheduler } from './delivery/flush-scheduler.js'
import { Renewal, revoke } from './renewal.js'
import { Scopes, type Scope, type ScopesDeps } from './scopes.js'
import { CLOSE_GRACE_MS, Connection, type Socket } from './connections/connection.js'
import { HubMetrics } from './metrics.js'
import { Dispatcher, type DispatcherDeps } from './dispatcher.js'
import type { PublishPlaces } from './host-publish.js'
import { MissionRequests, type CommandPort, type MissionRequestsDeps } from './mission-requests.js'
import { Drain } from './connections/drain.js'
import { MessageEnvelope } from './wire/envelope.js'
import { Heartbeat } from './connections/heartbeat.js'
import { pingIntervalMs } from './connections/liveness.js'
import { LivenessTimer } from './connections/liveness-timer.js'
import { Readings } from './readings.js'
import { createSocketEvents, type SocketEvents } from './socket-events.js'

export interface HubDeps extends Pick<MissionRequestsDeps, 'findMission' | 'listMissions'> {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  createChannels: ScopesDeps['createChannels']
  access: Access
  commands: CommandPort
  alertHistory: DispatcherDeps['alertHistory']
  onCallbackError: (where: string, err: unknown) => void
  /** The epoch of the shared log, if there is one. */
  epoch?: (() => string | undefined) | undefined
}

/**
 * Knows all connections and their subscriptions, and encodes each message once for all of them. Depends on neither
 * missions nor Fastify.
 */
export class Hub {
  readonly #deps: HubDeps
  readonly #connections = new Set<Connection>()
  readonly #scopes: Scopes
  readonly #scopeOf = new WeakMap<Connection, Scope>()
  readonly #expiry: Expiry
  readonly #livenessTimer: LivenessTimer
  readonly #dispatcher: Dispatcher
  readonly #heartbeat: Heartbeat
  readonly #metrics: HubMetrics

  readonly #admission: Admission
  readonly #drain: Drain
  readonly #readings: Readings
  #heartbeatTimer: Timer | undefined
  #closing: Promise<void> | undefined

  constructor (deps: HubDeps) {
    const { clock, server, options, createChannels, access } = deps
    const metrics = this.#metrics = new HubMetrics(REFUSALS, clock)
    const envelope = new MessageEnvelope(clock, server)
    const scheduler = new FlushScheduler((ms) => metrics.fanOut.record(ms), metrics.delivery)
    this.#deps = deps
    this.#scopes = new Scopes({
      shared: {
        clock,
        options,
        envelope,
        metrics,
        scheduler,
        canReplay: ({ viewer }, channel) => access.allows(viewer, { action: 'replay', channel }),
        epoch: deps.epoch
      },
      onBackpressure: () => this.#livenessTimer.scheduleAt(0),
      createChannels
    })
    this.#expiry = new Expiry({ clock, envelope })
    this.#readings = new Readings({ connections: this.#connections, metrics, scopes: this.#scopes })
    this.#drain = new Drain({ clock, envelope, connections: this.#connections })
    this.#admission = new Admission({ clock, options, refused: metrics.refused })
    this.#livenessTimer = new LivenessTimer({
      clock,
      connections: this.#connections,
      onCheck: () => this.#scopes.trim()
    })
    const broadcasterOf = (connection: Connection) => this.#scopeOf.get(connection)!.broadcaster
    this.#dispatcher = new Dispatcher({
      ...deps,
      envelope,
      broadcasterOf,
      metrics,
      missions: new MissionRequests({
        ...deps,
        envelope,
        fail: (...refusal) => this.#dispatcher.fail(...refusal)
      }),
      work: scheduler.work,
      renewal: new Renewal({
        clock,
        access,
        envelope,
        broadcasterOf,
        onRenewed: (connection) => this.#expiry.renewed(connection)
      }),
      limits: { maxPayloadBytes: options.maxPayloadBytes, maxMessagesPerSecond: options.maxMessagesPerSecond }
    })
    this.#heartbeat = new Heartbeat({
      envelope,
      logOf: (connection) => broadcasterOf(connection).log,
      intervalMs: options.heartbeatMs
    })
  }

  get isClosing (): boolean { return this.#admission.isClosing }

  /**
   * Reserves a connection, until `connect` or `release`. Returns `undefined` if one more may open, else the reason.
   */
  admit (): RefusalReason | undefined {
    return this.#admission.admit()
  }

  /** Releases the reservation of `admit`. `isRefused`: the upgrade was answered and does not count against the rate. */
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
  connect (socket: Socket, request: unknown, viewer: Viewer = EVERYBODY): SocketEvents {
    const id = createUnifiedId('connection')
    const scope = this.#scopes.of(viewer.tenant)
    const connection = new Connection({ id, socket, request, viewer, shared: scope.connectionDeps })
    this.#scopeOf.set(connection, scope)
    scope.connections++
    this.#add(connection)
    return createSocketEvents({
      connection,
      dispatcher: this.#dispatcher,
      metrics: this.#metrics,
      onClosed: () => this.#remove(connection)
    })
  }

  /** Sends a payload to the operators among the subscribers of a channel, and to the subscribers of one tenant. */
  publish<Name extends ChannelName> (
    name: Name, payload: ChannelPayloads[Name], tenant?: string, places?: PublishPlaces
  ): void {
    this.#scopes.operators.broadcaster.broadcast(name, payload, places?.operators)
    if (tenant !== undefined) this.#scopes.find(tenant)?.broadcaster.broadcast(name, payload, places?.tenant)
  }

  /**
   * Closes the connections of the principals for which a function of the host returns `true`. Returns their number. If
   * the function throws, `revoke` throws the same error and closes no connection.
   */
  revoke (isRevoked: (principal: Principal) => unknown): number {
    return revoke(this.#connections, isRevoked)
  }

  /** @see Broadcaster.restart */
  restart (epoch: string, cause: GapCause): void {
    this.#scopes.restart(epoch, cause)
  }

  wsMetrics (): WsMetrics { return this.#readings.wsMetrics() }

  /** All metrics of the hub, for the Prometheus exposition. */
  totals () {
    return { ...this.#readings.totals(), eventLoopDelayMs: this.#admission.eventLoopDelayMs }
  }

  /** Starts measuring the delay of the event loop. */
  start (): void {
    this.#admission.start()
  }

  /**
   * Refuses all further connections, and notifies the clients that theirs will close in `closingMs` at the latest.
   * Until then they receive messages as before.
   */
  announceClose (closingMs: number): void {
    this.#admission.stop()
    this.#drain.announce({ closingMs, spreadMs: 0 })
  }

  /**
   * Notifies the clients, and closes all connections in waves over `withinMs`. Refuses connections from the first call
   * on. Resolves when all connections are closed, at the latest after the close grace of the last wave. A later call
   * waits for the first one.
   */
  async drain (withinMs: number): Promise<void> {
    this.#admission.stop()
    this.#drain.announce({ closingMs: withinMs, spreadMs: withinMs })
    await (this.#closing ??= this.#drain.closeAll(withinMs).then((ms) => { this.#metrics.drainMs = ms }))
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
    this.#scopes.close()
  }

  #add (connection: Connection): void {
    const { clock, options: { heartbeatMs } } = this.#deps
    this.#connections.add(connection)
    this.#expiry.watch(connection)
    this.#admission.opened()
    this.#metrics.connectionsTotal++
    if (this.#heartbeatTimer !== undefined) return
    this.#heartbeatTimer = clock.every(heartbeatMs, () => this.#heartbeat.beat(this.#connections))
    this.#livenessTimer.scheduleAt(clock.monotonic() + pingIntervalMs(heartbeatMs))
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#expiry.forget(connection)
    const scope = this.#scopeOf.get(connection)!
    scope.broadcaster.subscriptions.leaveAll(connection)
    this.#scopes.left(scope)
    this.#admission.closed()
    if (this.#connections.size > 0) return
    this.#heartbeatTimer?.cancel()
    this.#heartbeatTimer = undefined
    this.#livenessTimer.stop()
    this.#drain.emptied()
  }
}
