import type { ChannelName } from '../../schemas/channels/index.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { ClientMessage } from '../../schemas/messages/client-messages.js'
import type { Cursor, StreamPosition } from '../../schemas/messages/envelope.js'
import type { AsOf, ServerMessages } from '../../schemas/messages/server-messages.js'
import type { ClientContext } from './context.js'
import { pick, type Cursors } from './cursors.js'

export type ChannelMessage = ServerMessages[ChannelName]

interface Track {
  readonly name: ChannelName
  readonly isFiltered: boolean
  cursor: Cursor | undefined
  /** The subscription that is not acknowledged yet; what comes of the channel before that is of an older one. */
  askId?: string
  /** Messages that still belong to the hand-over, -1 before it; what it leads to, and whether all that is active is among them. */
  left: number
  asOf?: AsOf | undefined
  isState?: boolean
  /** Present states wait for the end of the hand-over: messages that were missed may come behind them. */
  held: ChannelMessage[]
  isReady?: boolean
  renewedAt: number
}

export interface SubscriptionEvents {
  onMessage: (message: ChannelMessage) => void
  onMoved: () => void
  onReady: (isAll: boolean) => void
}

export interface ClientSubscriptions {
  readonly cursors: Cursors
  /** Whether a hand-over is under way or to come. */
  readonly isBusy: boolean
  /** A new connection: asks for everything from where the client is. */
  resume (): void
  /** The service refused what is not acknowledged of a subscription. */
  refused (replyTo: string | undefined): void
  subscription_ack (message: ServerMessages['subscription_ack']): void
  /** The client was too slow. */
  subscription_gap (message: ServerMessages['subscription_gap']): void
  take (message: ChannelMessage): void
  /** Everything up to `heads` was sent before this. */
  compareHeads (heads: Cursors): void
}

const RENEW_MS = 60_000
const START: StreamPosition = { epoch: '', offset: 0 }

/** The channels of a client: where it is in each, what it asks for, and which messages go on to the listeners. */
export function createClientSubscriptions (core: ClientContext, stored: Cursors, { onMessage, onMoved, onReady }: SubscriptionEvents): ClientSubscriptions {
  const { channels, filter, clock, missions, send, makeId, emit } = core
  const tracks: readonly Track[] = channels.map((name) => ({
    name, isFiltered: filter !== undefined && name === 'mission_update', cursor: stored[name as keyof Cursors], left: 0, held: [], renewedAt: -Infinity
  }))

  const find = (name: string): Track | undefined => tracks.find((track) => track.name === name)

  function ask (asked: readonly Track[]): void {
    const known = asked.filter(({ cursor }) => cursor)
    // A cursor without the state that belongs to it is what a reload leaves.
    const isState = known.some(({ isReady }) => !isReady)
    const id = makeId()
    for (const track of asked) {
      track.askId = id
      track.isState = isState
      track.left = -1
    }
    // What is undefined is not sent.
    send({
      type: 'subscribe',
      id,
      channels: asked.map(({ name }) => name),
      since: known[0] && Object.fromEntries(known.map(({ name, cursor }) => [name, cursor])),
      filter: asked.some(({ isFiltered }) => isFiltered) ? filter : undefined,
      snapshot: isState || undefined
    } as ClientMessage)
  }

  // Asks for a channel again, from this cursor on; at most once a minute.
  function renew (track: Track, cursor: Cursor | undefined): boolean {
    const now = clock.monotonic()
    if (now - track.renewedAt < RENEW_MS) return false
    track.renewedAt = now
    track.cursor = cursor
    send({ type: 'unsubscribe', channels: [track.name] })
    ask([track])
    return true
  }

  function begin (track: Track, { asOf, messages = 0 }: { asOf?: AsOf, messages?: number }, isState: boolean): void {
    track.asOf = asOf
    track.left = messages
    track.held = []
    track.isState = isState && asOf !== undefined
    if (messages === 0) finish(track)
  }

  function finish (track: Track): void {
    const { asOf, held } = track
    if (asOf) move(track, asOf)
    for (const message of held) pass(track, message)
    track.isReady = true
    if (track.name === 'mission_update') converge(track)
    track.held = []
    onReady(tracks.every(({ isReady }) => isReady))
  }

  function converge (track: Track): void {
    const { asOf, held, isState } = track
    if (isState) missions.keepOnly(new Set(held.map(({ payload }) => (payload as MissionUpdate).missionId))).forEach((mission) => emit('lost', mission))
    const actual = missions.checksum()
    const expected = asOf?.checksum ?? actual
    if (expected !== actual) emit('diverged', { expected, actual, isRepaired: renew(track, undefined) })
  }

  function live (track: Track, message: ChannelMessage): void {
    const { cursor, isFiltered } = track
    const { position } = message
    const isHole = position && cursor?.epoch === position.epoch && position.offset > cursor.offset + 1
    // Its turn comes after the lost ones, when they are sent again.
    if (isHole && !isFiltered) renew(track, cursor)
    else pass(track, message)
  }

  function pass (track: Track, message: ChannelMessage): void {
    const { cursor } = track
    const { position, id, type, payload } = message
    if (position) {
      if (cursor?.epoch === position.epoch && position.offset <= cursor.offset) return
      move(track, { ...position, id })
    }
    if (type !== 'mission_update' || missions.apply(payload, track.cursor ?? START, position !== undefined)) onMessage(message)
  }

  function move (track: Track, cursor: Cursor): void {
    track.cursor = pick(cursor)
    onMoved()
  }

  return {
    get cursors () {
      return Object.fromEntries(tracks.filter(({ cursor }) => cursor).map(({ name, cursor }) => [name, cursor]))
    },
    get isBusy () { return tracks.some(({ left }) => left) },
    resume () { ask(tracks) },
    subscription_ack ({ replyTo, payload }) {
      const { channel, gap, outcome } = payload
      const track = find(channel)
      if (!track || track.askId !== replyTo) return
      if (gap) emit('gap', { channel, ...gap })
      begin(track, payload, outcome !== 'resumed' || track.isState!)
    },
    refused (replyTo) {
      for (const track of tracks) if (track.left < 0 && track.askId === replyTo) begin(track, {}, false)
    },
    subscription_gap ({ payload }) {
      const track = find(payload.channel)
      if (!track || track.left < 0) return
      emit('gap', payload)
      begin(track, payload, true)
    },
    take (message) {
      const track = find(message.type)
      // A reply, even a late one, is for who has asked.
      if (!track || track.left < 0 || message.replyTo) return
      if (!track.left) return live(track, message)
      track.left--
      if ('snapshot' in message.payload) track.held.push(message)
      else pass(track, message)
      if (!track.left) finish(track)
    },
    compareHeads (heads) {
      for (const track of tracks) {
        const { name, cursor, isFiltered, left } = track
        const head = heads[name as keyof Cursors]
        // One that waited may be older than what came before it.
        if (!head || left || (head.epoch === cursor?.epoch && head.offset <= cursor.offset)) continue
        if (!cursor || isFiltered) move(track, head)
        else renew(track, cursor)
      }
    }
  }
}
