import type { Test } from 'tap'
import { connect, type Client, type ClientOptions, type SocketEvent, type SocketLike } from '../../lib/client/index.js'
import { createVirtualClock, type VirtualClock } from '../../lib/base/virtual-clock.js'
import type { Cursor, MissionUpdate } from '../../schemas/index.js'
import { settle } from './missions.js'

type Sent = Record<string, unknown> & { type: string, id?: string, channels?: string[] }
type Fields = Record<string, unknown>

/** A socket whose other end is the test. */
export class FakeSocket implements SocketLike {
  readonly url: string
  readonly protocols: string[]
  readonly sent: Sent[] = []
  /** What the client closed it with. */
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

  /** The last message of this type that the client has sent. */
  last (type: string): Sent {
    const found = this.sent.findLast((message) => message.type === type)
    if (found === undefined) throw new Error(`the client has sent no ${type}`)
    return found
  }
}

/** Something with events, and a document if it has a visibility. */
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

/** A client, the service that the test plays for it, and all that its listeners were told. */
export interface Stand {
  client: Client
  clock: VirtualClock
  document: FakeTarget
  window: FakeTarget
  sockets: FakeSocket[]
  /** The newest socket. */
  readonly socket: FakeSocket
  /** What was told, in this order: messages as `status id seq`, events as their name and what matters of them. */
  told: string[]
  errors: Array<{ code: string, reason: string | undefined, cause: unknown }>
  /** The next random numbers; 0.5 when there are none. */
  randoms: number[]
  /** Opens the newest socket and gives the subscription that the client sends. */
  open (): Sent
  say (type: string, fields?: Fields): void
  /** Acknowledges the last subscription to a channel; its messages follow by `update`. */
  ack (outcome?: 'fresh' | 'resumed' | 'gap', fields?: Fields): void
  /** A step of a mission; with an offset one that must arrive. */
  update (missionId: string, status: MissionUpdate['status'], seq: number, offset?: number, fields?: Fields): void
  snapshot (missionId: string, status: MissionUpdate['status'], seq: number, fields?: Fields): void
  /** The connection is cut, from the other end. */
  cut (code?: number, reason?: string): void
  /** The epoch of all that is said. */
  epoch: string
}

export const cursor = (offset: number, epoch = 'e1'): Cursor => ({ epoch, offset, id: `message-${epoch}-${offset}` })

/** Connects a client to a socket that is not open yet. */
export async function start (t: Test, options: ClientOptions = {}, { isHidden = false } = {}): Promise<Stand> {
  const clock = createVirtualClock()
  const document = new FakeTarget()
  const window = new FakeTarget()
  if (isHidden) document.visibilityState = 'hidden'
  const sockets: FakeSocket[] = []
  const randoms: number[] = []
  const told: string[] = []
  const errors: Stand['errors'] = []
  let said = 0
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
  client.on('mission_update', ({ status, missionId, seq }) => { told.push(`${status} ${missionId} ${seq}`) })
  client.on('state', ({ state, cause }) => { told.push(`${state}: ${cause}`) })
  client.on('gap', ({ channel, cause }) => { told.push(`gap ${channel} ${cause}`) })
  client.on('lost', ({ missionId }) => { told.push(`lost ${missionId}`) })
  client.on('diverged', ({ isRepaired }) => { told.push(`diverged ${isRepaired ? 'and repaired' : 'and left'}`) })
  client.on('version', ({ protocolVersion }) => { told.push(`version ${protocolVersion}`) })
  client.on('error', ({ code, reason, cause }) => { errors.push({ code, reason, cause }) })
  await settle()

  const stand: Stand = {
    client,
    clock,
    document,
    window,
    sockets,
    get socket () { return sockets.at(-1)! },
    told,
    errors,
    randoms,
    epoch: 'e1',
    open () {
      stand.socket.fire('open')
      return stand.socket.last('subscribe')
    },
    say (type, fields = {}) {
      const message = { protocolVersion: 1, type, id: `said-${++said}`, timestamp: '2026-01-01T00:00:00.000Z', unix: 0, server: { name: 's', version: '1' }, ...fields }
      stand.socket.fire('message', { data: JSON.stringify(message) })
    },
    ack (outcome, { channel = 'mission_update', at, ...fields } = {}) {
      const asOf = typeof at === 'number' ? { asOf: { ...cursor(at, stand.epoch), ...('checksum' in fields && { checksum: fields['checksum'] }) } } : {}
      const { checksum: _, ...rest } = fields
      const asked = stand.socket.sent.findLast((message) => message.type === 'subscribe' && message.channels!.includes(channel as string))!
      stand.say('subscription_ack', { replyTo: asked.id, payload: { channel, status: 'subscribed', ...(outcome && { outcome }), ...asOf, ...rest } })
    },
    update (missionId, status, seq, offset, fields = {}) {
      stand.say('mission_update', {
        ...(offset !== undefined && { id: cursor(offset, stand.epoch).id, position: { epoch: stand.epoch, offset } }),
        payload: { missionId, status, name: 'import', seq, ...fields }
      })
    },
    snapshot (missionId, status, seq, fields = {}) { stand.update(missionId, status, seq, undefined, { ...fields, snapshot: true }) },
    cut (code = 1006, reason = '') { stand.socket.fire('close', { code, reason }) }
  }
  return stand
}

/** As `start`, up to the end of the first hand-over: nothing at offset 0. What was told until then is forgotten. */
export async function startOpen (t: Test, options: ClientOptions = {}): Promise<Stand> {
  const stand = await start(t, options)
  stand.open()
  for (const channel of options.channels ?? ['mission_update']) stand.ack('fresh', { channel, at: 0, messages: 0 })
  stand.told.length = 0
  return stand
}
