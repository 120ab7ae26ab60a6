import type { ChannelName } from '../../schemas/channels/index.js'
import { expect, Skip } from './outcome.js'
import type { Peer, WireMessage } from './peer.js'

/** The ack of a new subscription and what came right after it. */
export interface Subscribed { ack: WireMessage, payload: Record<string, unknown>, place: number }

/** A cursor as it came in an ack. */
export interface WireCursor { epoch: string, offset: number, id: string }

/** Subscribes to one channel and gives its ack; `place` is where in `received` what follows begins. */
export async function subscribe (peer: Peer, channel: ChannelName, extra: object = {}): Promise<Subscribed> {
  const ack = await peer.ask({ type: 'subscribe', channels: [channel], ...extra })
  if (ack.type === 'subscription_error' && ack.error?.['code'] === 'forbidden') throw new Skip(`this client may not subscribe to ${channel}`)
  expect(isAck(ack, channel, 'subscribed'), `subscription_ack of ${channel} with status subscribed`, ack)
  const place = peer.received.findIndex(({ message }) => message === ack) + 1
  return { ack, payload: ack.payload!, place }
}

/** Unsubscribes from one channel. */
export async function unsubscribe (peer: Peer, channel: ChannelName): Promise<void> {
  const ack = await peer.ask({ type: 'unsubscribe', channels: [channel] })
  expect(isAck(ack, channel, 'unsubscribed'), `subscription_ack of ${channel} with status unsubscribed`, ack)
}

export const isAck = ({ type, payload }: WireMessage, channel: string, status: 'subscribed' | 'unsubscribed'): boolean =>
  type === 'subscription_ack' && payload?.['channel'] === channel && payload['status'] === status

/** The cursor of an ack. */
export function asOfIn ({ payload, ack }: Subscribed): WireCursor {
  const asOf = payload['asOf'] as WireCursor | undefined
  expect(typeof asOf?.epoch === 'string' && typeof asOf.offset === 'number' && typeof asOf.id === 'string', 'asOf with epoch, offset and id in the ack', ack)
  const { epoch, offset, id } = asOf!
  return { epoch, offset, id }
}

/** The messages that an ack has announced; waits for them. */
export async function announced (peer: Peer, channel: ChannelName, subscribed: Subscribed): Promise<WireMessage[]> {
  const count = subscribed.payload['messages']
  expect(Number.isInteger(count), 'the number of messages that follow in the ack', subscribed.ack)
  return await peer.nextOf(channel, count as number, { from: subscribed.place })
}
