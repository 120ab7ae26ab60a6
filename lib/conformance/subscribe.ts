import type { ChannelName } from '../../schemas/channels/index.js'
import { expect, Skip } from './outcome.js'
import type { Peer, WireMessage } from './peer.js'

/** The ack of a new subscription. `index` is the index in `received` of the first frame after the ack. */
export interface Subscribed { ack: WireMessage, payload: Record<string, unknown>, index: number }

/** A cursor as an ack contains it. */
export interface WireCursor { epoch: string, offset: number, id: string }

/** Subscribes to one channel. */
export async function subscribe (peer: Peer, channel: ChannelName, extra: object = {}): Promise<Subscribed> {
  const ack = await peer.ask({ type: 'subscribe', channels: [channel], ...extra })
  const isForbidden = ack.type === 'subscription_error' && ack.error?.['code'] === 'forbidden'
  if (isForbidden) throw new Skip(`this client may not subscribe to ${channel}`)
  expect(isAck(ack, channel, 'subscribed'), `subscription_ack of ${channel} with status subscribed`, ack)
  const index = peer.received.findIndex(({ message }) => message === ack) + 1
  return { ack, payload: ack.payload!, index }
}

/** Unsubscribes from one channel. */
export async function unsubscribe (peer: Peer, channel: ChannelName): Promise<void> {
  const ack = await peer.ask({ type: 'unsubscribe', channels: [channel] })
  expect(isAck(ack, channel, 'unsubscribed'), `subscription_ack of ${channel} with status unsubscribed`, ack)
}

type SubscriptionStatus = 'subscribed' | 'unsubscribed'

export const isAck = ({ type, payload }: WireMessage, channel: string, status: SubscriptionStatus): boolean =>
  type === 'subscription_ack' && payload?.['channel'] === channel && payload['status'] === status

/** The cursor of an ack. */
export function asOfIn ({ payload, ack }: Subscribed): WireCursor {
  const asOf = payload['asOf'] as WireCursor | undefined
  const isCursor = typeof asOf?.epoch === 'string' && typeof asOf.offset === 'number' && typeof asOf.id === 'string'
  expect(isCursor, 'asOf with epoch, offset and id in the ack', ack)
  const { epoch, offset, id } = asOf!
  return { epoch, offset, id }
}

/** Waits for the messages that an ack announces. */
export async function announced (peer: Peer, channel: ChannelName, subscribed: Subscribed): Promise<WireMessage[]> {
  const count = subscribed.payload['messages']
  expect(Number.isInteger(count), 'the number of messages that follow in the ack', subscribed.ack)
  return await peer.nextOf(channel, count as number, { from: subscribed.index })
}
