import { expect, show } from '../outcome.js'
import type { Peer, WireMessage } from '../peer.js'

interface WirePosition { epoch: unknown, offset: number }

/**
 * Expects contiguous positions in every channel of one connection and returns how many there are. A channel with a
 * filter is skipped, because the filter leaves holes.
 */
export function expectContiguous (peer: Peer): number {
  const isFiltered = peer.sent.some((message) => 'filter' in message)
  const last = new Map<unknown, WirePosition | undefined>()
  let count = 0
  for (const message of peer.since(0)) {
    if (restartsPositions(message)) last.set(message.payload?.['channel'], startOf(message))
    if (message.position === undefined || (isFiltered && message.type === 'mission_update')) continue
    const position = message.position as WirePosition
    const before = last.get(message.type)
    const isNext = before === undefined || (position.epoch === before.epoch && position.offset === before.offset + 1)
    expect(isNext, `the position after ${show(before)}`, message)
    last.set(message.type, position)
    count++
  }
  return count
}

const restartsPositions = ({ type, payload }: WireMessage): boolean =>
  (type === 'subscription_ack' && payload?.['outcome'] !== undefined) || type === 'subscription_gap'

// Replayed messages start after the cursor of the client, which the ack does not contain.
const startOf = ({ payload }: WireMessage): WirePosition | undefined =>
  payload?.['outcome'] === 'resumed' ? undefined : payload?.['asOf'] as WirePosition | undefined
