import { CHANNEL_NAMES, LOGGED_CHANNELS, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { CLOSE_CODES, type CloseReason } from '../../schemas/messages/close-codes.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS } from '../../schemas/messages/server-messages.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock, type Timer } from '../clock.js'
import type { Channel, Subscriber } from './channel.js'
import { Connection, type ConnectionShared, type Socket } from './connection.js'
import { HubCounters } from './counters.js'
import { Dispatcher, type CommandPort, type DispatcherSetup } from './dispatcher.js'
import { Drain } from './drain.js'
import { Envelope } from './envelope.js'
import { HandOver } from './hand-over.js'
import { Heartbeat } from './heartbeat.js'
import { Latest } from './latest.js'
import { Log } from './log.js'
import { LoopLag } from './loop-lag.js'
import type { Message } from './message.js'
import { Permission } from './permission.js'
import { RateLimit } from './rate-limit.js'
import { Recovery } from './recovery.js'
import { Subscriptions } from './subscriptions.js'
import { Sweeper } from './sweeper.js'
import { Turn } from './turn.js'

/** Why an upgrade was refused before it happened. */
export const REFUSALS = ['origin', 'connections', 'address', 'rate', 'overload', 'closing'] as const
export type RefusalReason = (typeof REFUSALS)[number]

export interface HubSetup {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  commands: CommandPort
  findMission: DispatcherSetup['findMission']
  onCallbackError: (where: string, err: unknown) => void
}

/** What the socket's owner calls; never throws. */
export interface ConnectionInput {
  message (data: Buffer): void
  ping (): void
  pong (): void
  /** The socket's owner closes the connection by itself, for this reason. */
  failed (reason: CloseReason): void
  /** The system has taken what was handed to the socket. */
  drained (): void
  /** The connection is to be closed for this reason. */
  refused (reason: CloseReason): void
  closed (): void
}

/**
 * The switchboard: who is connected, who listens to what, and one encoding of each message for all of them.
 * It knows neither missions nor Fastify.
 */
export class Hub {
  readonly #clock: Clock
  readonly #options: ResolvedOptions['websocket']
  readonly #onCallbackError: HubSetup['onCallbackError']
  readonly #envelope: Envelope
  readonly #connections = new Set<Connection>()
  readonly #addresses = new Map<string, number>()
  readonly #log: Log
  readonly #latest = new Latest()
  readonly #recovery: Recovery
  readonly #turn: Turn
  readonly #shared: ConnectionShared
  readonly #sweeper: Sweeper
  readonly #subscriptions: Subscriptions
  readonly #dispatcher: Dispatcher
  readonly #heartbeat: Heartbeat
  readonly #loopLag = new LoopLag()
  readonly #arrivals: RateLimit
  readonly #counters = new HubCounters({
    refused: REFUSALS,
    closed: Object.keys(CLOSE_CODES),
    protocolErrors: [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  })

  #timers: Timer[] = []
  #isClosing = false
  #closing: Promise<void> | undefined
  #whenEmpty: (() => void) | undefined

  constructor ({ clock, server, options, channels, commands, findMission, onCallbackError }: HubSetup) {
    this.#clock = clock
    this.#options = options
    this.#onCallbackError = onCallbackError
    this.#envelope = new Envelope(clock, server)
    this.#log = new Log(clock, { maxMessages: options.logMaxMessages, maxBytes: options.logMaxBytes, maxAgeMs: options.logMaxAgeMs })
    this.#turn = new Turn((ms) => this.#counters.fanOut.record(ms))
    this.#arrivals = new RateLimit(options.maxConnectionsPerSecond, clock.monotonic())
    const permission = new Permission(options.authorize, onCallbackError)
    this.#subscriptions = new Subscriptions({
      clock,
      channels,
      log: this.#log,
      keepMs: options.logMaxAgeMs,
      broadcast: (name, payload, only) => this.#broadcast(name, payload, only),
      onClose: (name) => this.#latest.clear(name)
    })
    const fits = (message: Message, filter: SubscriptionFilter | undefined): boolean => this.#fits(message, filter)
    this.#recovery = new Recovery({
      clock,
      envelope: this.#envelope,
      log: this.#log,
      channel: (name) => this.#subscriptions.channel(name),
      onGap: (cause) => this.#counters.gaps.add(cause)
    })
    this.#shared = {
      clock,
      counters: this.#counters,
      options,
      turn: this.#turn,
      log: this.#log,
      recovery: this.#recovery,
      fits,
      onHeld: () => this.#sweeper.by(0)
    }
    this.#sweeper = new Sweeper(clock, this.#connections, () => {
      this.#log.trim()
      this.#recovery.sweep()
    })
    this.#dispatcher = new Dispatcher({
      envelope: this.#envelope,
      subscriptions: this.#subscriptions,
      counters: this.#counters,
      handOver: new HandOver({
        envelope: this.#envelope,
        log: this.#log,
        latest: this.#latest,
        recovery: this.#recovery,
        subscriptions: this.#subscriptions,
        fits,
        mayReplay: (connection, channel) => permission.allows(connection.request, { action: 'replay', channel }),
        onOutcome: (outcome, cause) => {
          this.#counters.outcomes.add(outcome)
          if (cause !== undefined) this.#counters.gaps.add(cause)
        }
      }),
      commands,
      maySubscribe: (connection, channel) => permission.allows(connection.request, { action: 'subscribe', channel }),
      findMission,
      server
    })
    this.#heartbeat = new Heartbeat({ envelope: this.#envelope, log: this.#log, intervalMs: options.heartbeatMs })
  }

  get isClosing (): boolean { return this.#isClosing }

  /** Whether one more connection from this address may open, and if not, why; a refusal is counted. */
  admit (address: string): RefusalReason | undefined {
    if (this.#isClosing) return this.refuse('closing')
    if (this.#loopLag.ms > this.#options.maxLoopLagMs) return this.refuse('overload')
    if (this.#connections.size >= this.#options.maxConnections) return this.refuse('connections')
    if ((this.#addresses.get(address) ?? 0) >= this.#options.maxConnectionsPerAddress) return this.refuse('address')
    // Last: who is refused for another reason takes nothing from the others.
    return this.#arrivals.take(this.#clock.monotonic()) ? undefined : this.refuse('rate')
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#counters.refused.add(reason)
    return reason
  }

  /** Takes over an open socket that was admitted in this very step. The returned functions must be wired to it before anything else is awaited. */
  connect (socket: Socket, request: unknown, address: string): ConnectionInput {
    const connection = new Connection({ id: createUnifiedId('connection'), socket, request, address, shared: this.#shared })
    this.#add(connection)
    return {
      message: (data) => this.#received(connection, data),
      ping: () => { this.#accepts(connection) },
      pong: () => this.#receivedPong(connection),
      failed: (reason) => connection.failed(reason),
      drained: () => connection.outbox.drained(),
      refused: (reason) => connection.close(reason),
      closed: () => this.#remove(connection)
    }
  }

  /** Sends a payload to all subscribers of a channel. */
  publish<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name]): void {
    this.#broadcast(name, payload)
  }

  wsMetrics (): WsMetrics {
    return {
      connectionsOpen: this.#connections.size,
      connectionsTotal: this.#counters.connectionsTotal,
      messagesSentTotal: this.#counters.messagesSentTotal,
      subscriptionsTotal: this.#counters.subscriptionsTotal,
      channels: CHANNEL_NAMES.map((channel) => ({ channel, count: this.#subscriptions.count(channel) }))
    }
  }

  /** Everything that is counted, for the exposition. */
  totals () {
    const { messagesReceivedTotal, bytesSentTotal, replacedTotal, droppedTotal, laggedTotal, laggingMs } = this.#counters
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, this.#subscriptions.count(name)])),
      messagesReceivedTotal,
      bytesSentTotal,
      replacedTotal,
      droppedTotal,
      laggedTotal,
      laggingMs,
      ...this.#readOutboxes(),
      logged: this.#log.size,
      gaps: this.#counters.gaps.read(),
      outcomes: this.#counters.outcomes.read(),
      refused: this.#counters.refused.read(),
      closed: this.#counters.closed.read(),
      protocolErrors: this.#counters.protocolErrors.read(),
      pingRoundTrip: this.#counters.pingRoundTrip.read(),
      fanOut: this.#counters.fanOut.read(),
      drainMs: this.#counters.drainMs,
      loopLagMs: this.#loopLag.ms
    }
  }

  /** Begins to look at how late the event loop is. */
  start (): void {
    this.#loopLag.start()
  }

  /** From now on no connection is admitted; those that are open go on. */
  stopAdmitting (): void {
    this.#isClosing = true
  }

  /**
   * Says goodbye to everybody, in waves over `withinMs`, and resolves once all are gone, which is at the latest when the close grace of the
   * last wave has passed. From the first call on no connection is admitted; a later call waits for the first, or, with no time left, ends it.
   */
  async close (withinMs = 0): Promise<void> {
    this.stopAdmitting()
    if (this.#closing !== undefined && withinMs === 0) this.#closeAll()
    await (this.#closing ??= this.#drain(withinMs))
    this.#loopLag.close()
    this.#subscriptions.close()
  }

  async #drain (withinMs: number): Promise<void> {
    const startedAt = this.#clock.monotonic()
    if (this.#connections.size > 0) {
      const empty = new Promise<void>((resolve) => { this.#whenEmpty = resolve })
      new Drain({ clock: this.#clock, envelope: this.#envelope, connections: this.#connections }).start(withinMs)
      await empty
    }
    this.#counters.drainMs = this.#clock.monotonic() - startedAt
  }

  // A service that closes does not wait for the rest of its waves.
  #closeAll (): void {
    for (const connection of this.#connections) connection.close('server_restart')
  }

  #readOutboxes () {
    let outboxBytes = 0
    let lagging = 0
    for (const { outbox } of this.#connections) {
      outboxBytes += outbox.waitingBytes
      if (outbox.isLagging) lagging++
    }
    return { outboxBytes, lagging }
  }

  #add (connection: Connection): void {
    this.#connections.add(connection)
    this.#addresses.set(connection.address, (this.#addresses.get(connection.address) ?? 0) + 1)
    this.#counters.connectionsTotal++
    if (this.#timers.length > 0) return
    this.#timers = [this.#clock.every(this.#options.heartbeatMs, () => this.#heartbeat.beat(this.#connections))]
    this.#sweeper.by(this.#clock.monotonic() + this.#options.pingMs)
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#subscriptions.leaveAll(connection)
    const left = this.#addresses.get(connection.address)! - 1
    if (left === 0) this.#addresses.delete(connection.address)
    else this.#addresses.set(connection.address, left)
    if (this.#connections.size > 0) return
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#sweeper.stop()
    this.#whenEmpty?.()
  }

  // A throw in a listener of a socket would end the host's process.
  #received (connection: Connection, data: Buffer): void {
    try {
      this.#counters.messagesReceivedTotal++
      if (this.#accepts(connection)) this.#dispatcher.dispatch(connection, data)
    } catch (err) {
      this.#onCallbackError('message', err)
      this.#dispatcher.fail(connection, 'internal_error')
    }
  }

  #receivedPong (connection: Connection): void {
    if (connection.takesPong()) connection.answered()
    else this.#accepts(connection)
  }

  #accepts (connection: Connection): boolean {
    if (connection.isClosing) return false
    connection.answered()
    if (connection.allowsFrame()) return true
    this.#dispatcher.fail(connection, 'rate_limited')
    connection.close('rate_limited')
    return false
  }

  #broadcast<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>): number | undefined {
    if (!this.#subscriptions.isOpen(name)) return undefined
    const { key, forgets, facts } = this.#subscriptions.channel(name).delivery(payload)
    const place = key === undefined && only === undefined && LOGGED.has(name) ? this.#log.place(name) : undefined
    const message = this.#envelope.message(name, { payload } as never, {
      traits: { channel: name, place, key: key && `${name} ${key}`, forgets: forgets && `${name} ${forgets}`, facts },
      epoch: this.#log.epoch
    })
    this.#keep(message)
    for (const { filter, members } of this.#subscriptions.groups(name)) {
      if (!this.#fits(message, filter)) continue
      for (const subscriber of members) if (only === undefined || only.has(subscriber)) subscriber.outbox.send(message)
    }
    this.#turn.sent(message)
    return place?.offset
  }

  // For those who are away, and for those who fall behind.
  #keep (message: Message): void {
    const { channel, place, key, forgets } = message
    if (place !== undefined) this.#log.append(message, place)
    if (forgets !== undefined) this.#latest.forget(channel!, forgets)
    if (key !== undefined && LOGGED.has(channel!)) this.#latest.set(channel!, key, message)
  }

  #fits ({ channel, facts }: Message, filter: SubscriptionFilter | undefined): boolean {
    return filter === undefined || this.#subscriptions.channel(channel!).fits!(facts!, filter)
  }
}

const LOGGED = new Set<string>(LOGGED_CHANNELS)
