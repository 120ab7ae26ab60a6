import { resolveOptions } from '../../lib/base/options.js'
import { createVirtualClock } from '../../lib/base/virtual-clock.js'
import type { Channel, EndingsRange, Publish } from '../../lib/hub/channel.js'
import { HIGH_WATER_BYTES } from '../../lib/hub/delivery/outbox.js'
import type { Writable } from '../../lib/hub/delivery/batch.js'
import { Hub } from '../../lib/hub/hub.js'
import type { SocketEvents } from '../../lib/hub/socket-events.js'
import type { Message } from '../../lib/hub/wire/message.js'
import type { ServerMessage } from '../../schemas/messages/server-messages.js'
import { openAccess } from './access.js'

interface State { missionId: string, status: string, seq: number, pad: string, snapshot?: true }

/** A hub with one channel, `mission_update`, of many states, which counts how often it reads and encodes them. */
export class LargeHub {
  readonly clock = createVirtualClock()
  readonly hub: Hub
  readonly errors: unknown[] = []
  /** Called before each state is read. */
  onRead: () => void = () => {}
  encoded = 0
  /** The offset of the last reliable update. */
  head = 0
  read = 0
  readonly states = new Map<string, State>()
  readonly endings: Array<{ state: State, offset: number }> = []
  #publish: Publish<'mission_update'> | undefined
  readonly #snapshots = new WeakMap<State, State>()

  constructor (count: number, { bytes = 100, history = {}, maxMessagesPerSecond = 1_000 } = {}) {
    for (let at = 0; at < count; at++) {
      this.states.set(`m${at}`, { missionId: `m${at}`, status: 'planned', seq: 1, pad: 'x'.repeat(bytes) })
    }
    this.hub = new Hub({
      clock: this.clock,
      server: { name: 'x', version: '1' },
      options: resolveOptions({ websocket: { history, maxMessagesPerSecond } }, {}).websocket,
      createChannels: () => [this.#createChannel()],
      access: openAccess(this.clock),
      commands: { offer: () => ({ capabilities: [] }), cancel: async (missionId: string) => ({ accepted: true, missionId }) } as never,
      alertHistory: () => [],
      findMission: () => undefined,
      listMissions: () => ({ missions: [], nextCursor: null }),
      onCallbackError: (_where, err) => { this.errors.push(err) }
    })
  }

  /** Changes a mission and publishes the update; `ended` ends it. */
  update (missionId: string, status: string): void {
    const before = this.states.get(missionId)!
    const state = { ...before, status, seq: before.seq + 1 }
    if (status === 'ended') this.states.delete(missionId)
    else this.states.set(missionId, state)
    const offset = this.#publish!(state as never)
    this.head = offset ?? this.head
    if (status === 'ended') this.endings.push({ state: { ...state, snapshot: true }, offset: offset! })
  }

  connect (request: unknown = {}): LargeHubClient { return new LargeHubClient(this.hub, request) }

  #createChannel (): Channel {
    const encodes = (): void => { this.encoded++ }
    const shownOf = (state: State): State => {
      const known = this.#snapshots.get(state) ?? { ...state, snapshot: true as const, toJSON () { encodes(); return { ...this, toJSON: undefined } } }
      this.#snapshots.set(state, known)
      return known
    }
    const channel = {
      name: 'mission_update',
      delivery: ({ missionId, status }: State) => ({ attributes: { missionId, status }, ...(status === 'progress' && { key: missionId }) }),
      start: (publish: Publish<'mission_update'>) => { this.#publish = publish },
      stop: () => {},
      snapshot: () => this.#read(shownOf),
      endings: (range: EndingsRange, upTo: number) => this.endings.filter(({ offset }) => 'after' in range && offset > range.after && offset <= upTo).map(({ state }) => state),
      fits: ({ missionId }: State, { missionIds }: { missionIds: string[] }) => missionIds.includes(missionId),
      checksumEntry: (attributes: State) => attributes.status === 'ended' ? undefined : attributes,
      checksumEntries: () => [...this.states.values()],
      size: () => this.states.size
    }
    return channel as unknown as Channel
  }

  * #read (shownOf: (state: State) => State): Generator<State> {
    for (const state of [...this.states.values()]) {
      this.read++
      this.onRead()
      yield shownOf(state)
    }
  }
}

/** A connection of that hub whose messages are decoded. It reads everything, unless `isReading` is false. */
export class LargeHubClient {
  readonly received: ServerMessage[] = []
  bytesIn = 0
  closeReason: string | undefined
  isReading = true
  readonly #input: SocketEvents
  #bufferedBytes = 0

  constructor (hub: Hub, request: unknown) {
    const buffered = (): number => this.#bufferedBytes
    this.#input = hub.connect({
      get bufferedBytes () { return buffered() },
      write: (batch: Writable) => buffered() >= HIGH_WATER_BYTES ? -1 : this.#take(batch.messages()),
      writeAll: (messages: readonly Message[]) => this.#take(messages),
      ping: () => this.#input.pong(),
      close: (_code: number, reason: string) => {
        this.closeReason = reason
        this.#input.closed()
      },
      terminate: () => this.#input.closed()
    }, request)
  }

  send (...messages: object[]): this {
    for (const message of messages) this.#input.message(Buffer.from(JSON.stringify(message)))
    return this
  }

  /** Reads again. */
  resume (): void {
    this.isReading = true
    this.#bufferedBytes = 0
    this.#input.drained()
  }

  end (): void { this.#input.closed() }

  ofType<Type extends ServerMessage['type']> (type: Type): Array<Extract<ServerMessage, { type: Type }>> {
    return this.received.filter((message) => message.type === type) as Array<Extract<ServerMessage, { type: Type }>>
  }

  #take (messages: readonly Message[]): number {
    let bytes = 0
    for (const message of messages) {
      bytes += message.bytes
      this.received.push(JSON.parse(String(message.text)) as ServerMessage)
    }
    this.bytesIn += bytes
    if (!this.isReading) this.#bufferedBytes += bytes
    return bytes
  }
}

/** One turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
