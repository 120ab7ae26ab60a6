import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { AsOf } from '../../../schemas/messages/server-messages.js'
import type { ClientContext } from '../context.js'
import type { ChannelDelivery, ChannelMessage } from './delivery.js'
import type { SubscribedChannel } from './subscribed-channel.js'

export interface CatchUpEvents {
  /** The service was restarted and does not know this mission, which was active. */
  onLost: (id: string) => void
  onCaughtUp: () => void
}

export interface ChannelCatchUp {
  /** `isFullState`: the messages contain all active missions, if the service says as of when. */
  begin (extent: { asOf?: AsOf, messages?: number }, isFullState?: boolean): void
  add (message: ChannelMessage): void
}

/** A channel receives as many snapshots and replayed messages as the service announces. */
export function createCatchUp (
  context: ClientContext, channel: SubscribedChannel, isFiltered: boolean, delivery: ChannelDelivery,
  events: CatchUpEvents
): ChannelCatchUp {
  const { missions, emit } = context
  let asOf: AsOf | undefined
  let isFullState: boolean | undefined
  // Held until the end of the catch-up, because replayed messages may follow them.
  let snapshots: ChannelMessage[]

  function finish (): void {
    const isRestarted = channel.cursor && channel.cursor.epoch !== asOf?.epoch
    if (asOf) delivery.moveCursor(asOf)
    snapshots.forEach(delivery.deliver)
    channel.isReady = true
    if (channel.name === 'mission_update') reconcile(isRestarted)
    events.onCaughtUp()
  }

  /** Removes missions that the service no longer knows, and compares the checksums. */
  function reconcile (isRestarted: boolean | undefined): void {
    if (isFullState) {
      const ids = new Set(snapshots.map(({ payload }) => (payload as MissionUpdate).missionId))
      context.lost = missions.keepOnly(ids)
      context.touch()
      for (const mission of context.lost) {
        emit('lost', mission)
        // Without a filter, the snapshot is the answer for every mission.
        if (isRestarted && !isFiltered) events.onLost(mission.missionId)
      }
    }
    const actual = missions.checksum()
    const expected = asOf?.checksum ?? actual
    if (expected !== actual) emit('diverged', { expected, actual, isRepaired: delivery.resubscribe() })
  }

  return {
    begin (extent, isFull) {
      asOf = extent.asOf
      isFullState = asOf && isFull
      snapshots = []
      channel.remaining = extent.messages ?? 0
      if (!channel.remaining) finish()
    },
    add (message) {
      channel.remaining--
      if ('snapshot' in message.payload) snapshots.push(message)
      else delivery.deliver(message)
      if (!channel.remaining) finish()
    }
  }
}
