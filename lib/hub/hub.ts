import { CHANNEL_NAMES, type ChannelName, type ChannelPayloads } from '../../schemas/channels/index.js'
import type { WsMetrics } from '../../schemas/metrics.js'
import { CLOSE_CODES, type CloseReason } from '../../schemas/messages/close-codes.js'
import { PROTOCOL_ERRORS, SUBSCRIPTION_ERRORS } from '../../schemas/messages/server-messages.js'
import type { ResolvedOptions } from '../../schemas/options.js'
import { createUnifiedId, type Clock, type Timer } from '../clock.js'
import type { Channel, Subscriber } from './channel.js'
import { Connection, type Socket } from './connection.js'
import { HubCounters } from './counters.js'
import { Dispatcher, type CommandPort } from './dispatcher.js'
import { Envelope } from './envelope.js'
import { laneOf, Subscriptions } from './subscriptions.js'

/** Why an upgrade was refused before it happened. */
export const REFUSALS = ['origin', 'connections', 'address', 'closing'] as const
export type RefusalReason = (typeof REFUSALS)[number]

export interface HubSetup {
  clock: Clock
  server: ResolvedOptions['server']
  options: ResolvedOptions['websocket']
  channels: readonly Channel[]
  commands: CommandPort
  onCallbackError: (where: string, err: unknown) => void
}

/** What the socket's owner calls; never throws. */
export interface ConnectionInput {
  message (data: Buffer): void
  ping (): void
  pong (): void
  /** The socket's owner closes the connection by itself, for this reason. */
  failed (reason: CloseReason): void
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
  readonly #subscriptions: Subscriptions
  readonly #dispatcher: Dispatcher
  readonly #counters = new HubCounters({
    refused: REFUSALS,
    closed: Object.keys(CLOSE_CODES),
    protocolErrors: [...Object.keys(PROTOCOL_ERRORS), ...Object.keys(SUBSCRIPTION_ERRORS)]
  })

  #heartbeat: Timer | undefined
  #isClosing = false
  #whenEmpty: (() => void) | undefined

  constructor ({ clock, server, options, channels, commands, onCallbackError }: HubSetup) {
    this.#clock = clock
    this.#options = options
    this.#onCallbackError = onCallbackError
    this.#envelope = new Envelope(clock, server)
    this.#subscriptions = new Subscriptions(channels, (name, payload, only) => this.#broadcast(name, payload, only))
    this.#dispatcher = new Dispatcher({
      envelope: this.#envelope,
      subscriptions: this.#subscriptions,
      counters: this.#counters,
      commands,
      server
    })
  }

  get isClosing (): boolean { return this.#isClosing }

  /** Whether one more connection from this address may open, and if not, why; a refusal is counted. */
  admit (address: string): RefusalReason | undefined {
    if (this.#isClosing) return this.refuse('closing')
    if (this.#connections.size >= this.#options.maxConnections) return this.refuse('connections')
    if ((this.#addresses.get(address) ?? 0) >= this.#options.maxConnectionsPerAddress) return this.refuse('address')
    return undefined
  }

  /** Counts a refusal. */
  refuse (reason: RefusalReason): RefusalReason {
    this.#counters.refused.add(reason)
    return reason
  }

  /** Takes over an open socket that was admitted in this very step. The returned functions must be wired to it before anything else is awaited. */
  connect (socket: Socket, request: unknown, address: string): ConnectionInput {
    const connection = new Connection({
      id: createUnifiedId('connection'),
      socket,
      request,
      address,
      clock: this.#clock,
      counters: this.#counters,
      maxMessagesPerSecond: this.#options.maxMessagesPerSecond,
      maxBufferedBytes: this.#options.maxBufferedBytes
    })
    this.#add(connection)
    return {
      message: (data) => this.#received(connection, data),
      ping: () => { this.#accepts(connection) },
      pong: () => this.#receivedPong(connection),
      failed: (reason) => connection.failed(reason),
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
    const { messagesReceivedTotal, bytesSentTotal, replacedTotal, refused, closed, protocolErrors } = this.#counters
    return {
      metrics: this.wsMetrics(),
      subscribers: new Map(CHANNEL_NAMES.map((name) => [name, this.#subscriptions.count(name)])),
      messagesReceivedTotal,
      bytesSentTotal,
      replacedTotal,
      refused: refused.read(),
      closed: closed.read(),
      protocolErrors: protocolErrors.read()
    }
  }

  /** From now on no connection is admitted; those that are open go on. */
  stopAdmitting (): void {
    this.#isClosing = true
  }

  /**
   * Says goodbye to everybody and resolves once all are gone, which is at the latest when the close grace has passed.
   * From the first call on no connection is admitted.
   */
  async close (): Promise<void> {
    this.stopAdmitting()
    this.#heartbeat?.cancel()
    for (const connection of this.#connections) connection.close('server_closing')
    if (this.#connections.size > 0) await new Promise<void>((resolve) => { this.#whenEmpty = resolve })
  }

  #add (connection: Connection): void {
    this.#connections.add(connection)
    this.#addresses.set(connection.address, (this.#addresses.get(connection.address) ?? 0) + 1)
    this.#counters.connectionsTotal++
    this.#heartbeat ??= this.#clock.every(this.#options.heartbeatMs, () => this.#beat())
  }

  #remove (connection: Connection): void {
    this.#connections.delete(connection)
    connection.closed()
    this.#subscriptions.leaveAll(connection)
    const left = this.#addresses.get(connection.address)! - 1
    if (left === 0) this.#addresses.delete(connection.address)
    else this.#addresses.set(connection.address, left)
    if (this.#connections.size > 0) return
    this.#heartbeat?.cancel()
    this.#heartbeat = undefined
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

  #broadcast<Name extends ChannelName> (name: Name, payload: ChannelPayloads[Name], only?: ReadonlySet<Subscriber>): void {
    const subscribers = this.#subscriptions.of(name)
    if (subscribers.size === 0) return
    const { key, forgets } = this.#subscriptions.channel(name).delivery(payload)
    const message = this.#envelope.encode(name, { payload } as never)
    const replaces = key === undefined ? undefined : laneOf(name) + key
    const outdates = forgets === undefined ? undefined : laneOf(name) + forgets
    for (const subscriber of subscribers) {
      if (only !== undefined && !only.has(subscriber)) continue
      if (outdates !== undefined) subscriber.outbox.forget(outdates)
      if (replaces === undefined) subscriber.outbox.push(message)
      else subscriber.outbox.replace(replaces, message)
    }
  }

  #beat (): void {
    const message = this.#envelope.encode('heartbeat', {})
    for (const connection of this.#connections) {
      connection.outbox.replace('heartbeat', message)
      connection.probe()
    }
  }
}
