import { expect, show } from '../outcome.js'
import type { Peer, WireMessage } from '../peer.js'

interface Place { epoch: unknown, offset: number }

/** Follows the positions of all channels over one connection; gives how many there were. A filter leaves holes, so that such a channel is left out. */
export function expectContiguous (peer: Peer): number {
  const isFiltered = peer.sent.some((message) => 'filter' in message)
  const last = new Map<unknown, Place | undefined>()
  let count = 0
  for (const message of peer.since(0)) {
    if (isHandOver(message)) last.set(message.payload?.['channel'], startOf(message))
    if (message.position === undefined || (isFiltered && message.type === 'mission_update')) continue
    const place = message.position as Place
    const before = last.get(message.type)
    const isNext = before === undefined || (place.epoch === before.epoch && place.offset === before.offset + 1)
    expect(isNext, `the position after ${show(before)}`, message)
    last.set(message.type, place)
    count++
  }
  return count
}

const isHandOver = ({ type, payload }: WireMessage): boolean => (type === 'subscription_ack' && payload?.['outcome'] !== undefined) || type === 'subscription_gap'

// What is resumed begins behind the client's own cursor.
const startOf = ({ payload }: WireMessage): Place | undefined => payload?.['outcome'] === 'resumed' ? undefined : payload?.['asOf'] as Place | undefined
