import type { Test } from 'tap'
import { connect, type Client, type ClientOptions, type SocketEvent, type SocketLike } from '../../lib/client/index.js'
import { createVirtualClock, type VirtualClock } from '../../lib/base/virtual-clock.js'
import type { Cursor, MissionUpdate } from '../../schemas/index.js'
import { settle } from './missions.js'

type Sent = Record<string, unknown> & { type: string, id?: string, channels?: string[] }
type Fields = Record<string, unknown>

/** A socket whose server side is played by the test. */
export class FakeSocket implements SocketLike {
  readonly url: string
  readonly protocols: string[]
  readonly sent: Sent[] = []
  /** The code with which the client closed it. */
  closedWith: number | undefined | 'open' = 'open'
  readonly #listeners: Array<[type: string, listener: (event: SocketEvent) => void]> = []

  constructor (url: string, protocols: string[]) {
    this.url = url
    this.protocols = protocols
  }

  addEventListener (type: string, listener: (event: SocketEvent) => void): void { this.#listeners.push([type, listener]) }
  send (text: string): void { this.sent.push(JSON.parse(text) as Sent) }
  close (code?: number): void { this.closedWith = code }

  fire (type: string, fields: Omit<SocketEvent, 'type'> = {}): void {
    for (const [name, listener] of this.#listeners) if (name === type) listener({ type, ...fields })
  }

  /** Returns the last message of this type that the client has sent. */
  last (type: string): Sent {
    const found = this.sent.findLast((message) => message.type === type)
    if (found === undefined) throw new Error(`the client has sent no ${type}`)
    return found
  }
}

/** An event target that can serve as window, document or signal. */
export class FakeTarget {
  visibilityState = 'visible'
  readonly listeners = new Map<string, Set<(event: { type: string }) => void>>()

  addEventListener (type: string, listener: (event: { type: string }) => void): void {
    this.listeners.set(type, (this.listeners.get(type) ?? new Set()).add(listener))
  }

  removeEventListener (type: string, listener: (event: { type: string }) => void): void { this.listeners.get(type)?.delete(listener) }
  fire (type: string): void { for (const listener of this.listeners.get(type) ?? []) listener({ type }) }
  get count (): number { return [...this.listeners.values()].reduce((sum, { size }) => sum + size, 0) }
}

/** A client, the service that the test plays for it, and everything its listeners received. */
export interface FakeService {
  client: Client
  clock: VirtualClock
  document: FakeTarget
  window: FakeTarget
  sockets: FakeSocket[]
  /** The newest socket. */
  readonly socket: FakeSocket
  /** In order of arrival: updates as `status id seq`, events as their name and their main fields. */
  emitted: string[]
  errors: Array<{ code: string, reason: string | undefined, cause: unknown }>
  /** The next random numbers; 0.5 when there are none. */
  randoms: number[]
  /** Opens the newest socket and returns the `subscribe` message of the client. */
  open (): Sent
  /** Sends a message to the client. */
  send (type: string, fields?: Fields): void
  /** Acknowledges the last subscription to a channel. `at` is the offset of `asOf`. */
  ack (outcome?: 'fresh' | 'resumed' | 'gap', fields?: Fields): void
  /** Sends an update of a mission: reliable with an offset, replaceable without. */
  update (missionId: string, status: MissionUpdate['status'], seq: number, offset?: number, fields?: Fields): void
  snapshot (missionId: string, status: MissionUpdate['status'], seq: number, fields?: Fields): void
  /** Closes the connection from the side of the service. */
  drop (code?: number, reason?: string): void
  /** Epoch of all positions that the service sends. */
  epoch: string
}

export const cursor = (offset: number, epoch = 'e1'): Cursor => ({ epoch, offset, id: `message-${epoch}-${offset}` })

/** Connects a client to a socket that is not open yet. */
export async function connectClient (t: Test, options: ClientOptions = {}, { isHidden = false } = {}): Promise<FakeService> {
  const clock = createVirtualClock()
  const document = new FakeTarget()
  const window = new FakeTarget()
  if (isHidden) document.visibilityState = 'hidden'
  const sockets: FakeSocket[] = []
  const randoms: number[] = []
  const emitted: string[] = []
  const errors: FakeService['errors'] = []
  let sent = 0
  class Socket extends FakeSocket {
    constructor (url: string, protocols: string[]) {
      super(url, protocols)
      sockets.push(this)
    }
  }
  const client = connect('ws://service.example/ws', {
    WebSocket: Socket, clock, document, window, random: () => randoms.shift() ?? 0.5, ...options
  })
  t.teardown(() => client.close())
  client.on('mission_update', ({ status, missionId, seq }) => { emitted.push(`${status} ${missionId} ${seq}`) })
  client.on('state', ({ state, cause }) => { emitted.push(`${state}: ${cause}`) })
  client.on('gap', ({ channel, cause }) => { emitted.push(`gap ${channel} ${cause}`) })
  client.on('lost', ({ missionId }) => { emitted.push(`lost ${missionId}`) })
  client.on('diverged', ({ isRepaired }) => { emitted.push(`diverged ${isRepaired ? 'and repaired' : 'and left'}`) })
  client.on('version', ({ protocolVersion }) => { emitted.push(`version ${protocolVersion}`) })
  client.on('error', ({ code, reason, cause }) => { errors.push({ code, reason, cause }) })
  await settle()

  const service: FakeService = {
    client,
    clock,
    document,
    window,
    sockets,
    get socket () { return sockets.at(-1)! },
    emitted,
    errors,
    randoms,
    epoch: 'e1',
    open () {
      service.socket.fire('open')
      return service.socket.last('subscribe')
    },
    send (type, fields = {}) {
      const message = { protocolVersion: 1, type, id: `sent-${++sent}`, timestamp: '2026-01-01T00:00:00.000Z', unix: 0, server: { name: 's', version: '1' }, ...fields }
      service.socket.fire('message', { data: JSON.stringify(message) })
    },
    ack (outcome, { channel = 'mission_update', at, ...fields } = {}) {
      const asOf = typeof at === 'number' ? { asOf: { ...cursor(at, service.epoch), ...('checksum' in fields && { checksum: fields['checksum'] }) } } : {}
      const { checksum: _, ...rest } = fields
      const asked = service.socket.sent.findLast((message) => message.type === 'subscribe' && message.channels!.includes(channel as string))!
      service.send('subscription_ack', { replyTo: asked.id, payload: { channel, status: 'subscribed', ...(outcome && { outcome }), ...asOf, ...rest } })
    },
    update (missionId, status, seq, offset, fields = {}) {
      service.send('mission_update', {
        ...(offset !== undefined && { id: cursor(offset, service.epoch).id, position: { epoch: service.epoch, offset } }),
        payload: { missionId, status, name: 'import', seq, ...fields }
      })
    },
    snapshot (missionId, status, seq, fields = {}) { service.update(missionId, status, seq, undefined, { ...fields, snapshot: true }) },
    drop (code = 1006, reason = '') { service.socket.fire('close', { code, reason }) }
  }
  return service
}

/** Connects a client and completes its first catch-up, with nothing at offset 0. Clears `emitted`. */
export async function connectSubscribed (t: Test, options: ClientOptions = {}): Promise<FakeService> {
  const service = await connectClient(t, options)
  service.open()
  for (const channel of options.channels ?? ['mission_update']) service.ack('fresh', { channel, at: 0, messages: 0 })
  service.emitted.length = 0
  return service
}
