import { missionChecksum } from '../../../schemas/checksum.js'
import type { Check } from '../check.js'
import { expect, show, Skip } from '../outcome.js'
import { isEnding, type Context } from '../context.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { announced, asOfIn, subscribe, type Subscribed, type WireCursor } from '../subscribe.js'

const CHANNEL = 'mission_update'

const offsetOf = ({ position }: WireMessage): number | undefined => (position as { offset?: number } | undefined)?.offset

/** Subscribes for the first time, with the present state. A mission is there where one can be started. */
async function begin (context: Context, channel: 'mission_update' | 'health_delta' = CHANNEL): Promise<{ peer: Peer, subscribed: Subscribed, state: WireMessage[] }> {
  const peer = await context.open()
  const subscribed = await subscribe(peer, channel)
  expect(subscribed.payload['outcome'] === 'fresh', 'outcome fresh', subscribed.ack)
  return { peer, subscribed, state: await announced(peer, channel, subscribed) }
}

/** Subscribes with a cursor over a new connection. */
async function resume (context: Context, since: WireCursor, extra: object = {}): Promise<{ peer: Peer, subscribed: Subscribed }> {
  const peer = await context.open()
  const subscribed = await subscribe(peer, CHANNEL, { since: { [CHANNEL]: since }, ...extra })
  if (causeOf(subscribed) === 'not_authorised') throw new Skip('this client may not have what it missed')
  return { peer, subscribed }
}

const causeOf = ({ payload }: Subscribed): unknown => (payload['gap'] as { cause?: unknown } | undefined)?.cause

async function expectGap (context: Context, since: WireCursor, cause: string): Promise<void> {
  const { peer, subscribed } = await resume(context, since)
  expect(subscribed.payload['outcome'] === 'gap' && causeOf(subscribed) === cause, `outcome gap with cause ${cause}`, subscribed.ack)
  asOfIn(subscribed)
  await expectState(peer, CHANNEL, subscribed, await announced(peer, CHANNEL, subscribed))
}

/** Exactly the announced messages are state, and none after them. */
async function expectState (peer: Peer, channel: string, { place, ack }: Subscribed, state: readonly WireMessage[]): Promise<void> {
  const unmarked = state.find(({ payload }) => payload?.['snapshot'] !== true)
  expect(unmarked === undefined, `${state.length} messages marked snapshot: true after ${show(ack.payload)}`, unmarked)
  await peer.fence()
  const more = peer.since(place).filter(({ type, payload }) => type === channel && payload?.['snapshot'] === true).length
  expect(more === state.length, `${state.length} messages with the present state`, `${more} of them`)
}

/** What a subscriber was told while a mission ran: the messages with positions. */
async function follow (context: Context, { peer, subscribed }: { peer: Peer, subscribed: Subscribed }): Promise<WireMessage[]> {
  await context.ending(peer, await context.startMission())
  await peer.fence()
  return peer.since(subscribed.place).filter((message) => message.type === CHANNEL && message.position !== undefined)
}

export const RESUME_CHECKS: readonly Check[] = [
  {
    name: 'outcome-fresh',
    demands: 'The ack of a first subscription to a channel with positions has `outcome` `fresh`, `asOf` and `messages`.',
    async run (context) {
      const { subscribed } = await begin(context)
      asOfIn(subscribed)
    }
  },
  {
    name: 'snapshot-count',
    demands: 'Exactly `messages` messages follow the ack before anything newer, each marked `snapshot: true`.',
    async run (context) {
      await context.tryStartMission()
      const missions = await begin(context)
      await expectState(missions.peer, CHANNEL, missions.subscribed, missions.state)
      const health = await begin(context, 'health_delta')
      await expectState(health.peer, 'health_delta', health.subscribed, health.state)
    }
  },
  {
    name: 'snapshot-checksum',
    demands: 'The `checksum` of `asOf` is that of the missions in the state that have not ended.',
    async run (context) {
      await context.startMission()
      const { subscribed, state } = await begin(context)
      const checksum = (subscribed.payload['asOf'] as { checksum?: string } | undefined)?.checksum
      if (checksum === undefined) throw new Skip('there is no checksum in asOf')
      const active = state.filter((message) => !isEnding(message)).map(({ payload }) => ({ missionId: String(payload?.['missionId']), status: String(payload?.['status']) }))
      expect(checksum === missionChecksum(active), `the checksum ${missionChecksum(active)} of ${active.length} missions`, checksum)
    }
  },
  {
    name: 'snapshot-flag',
    demands: '`snapshot: true` in a `subscribe` gives the missions that have not ended also where nothing is missing.',
    async run (context) {
      const missionId = await context.startMission()
      const { subscribed, state } = await begin(context)
      const isActive = state.some((message) => message.payload?.['missionId'] === missionId && !isEnding(message))
      if (!isActive) throw new Skip('the mission had ended before it could be seen; one that takes longer helps')
      const again = await resume(context, asOfIn(subscribed), { snapshot: true })
      const messages = await announced(again.peer, CHANNEL, again.subscribed)
      expect(messages.some(({ payload }) => payload?.['missionId'] === missionId), `mission ${missionId} among the announced messages`, messages)
    }
  },
  {
    name: 'resume-nothing-missed',
    demands: 'A `subscribe` with the cursor of `asOf` has `outcome` `resumed`, the same epoch, and an offset that is not before it.',
    async run (context) {
      const cursor = asOfIn((await begin(context)).subscribed)
      const { subscribed } = await resume(context, cursor)
      const { epoch, offset } = asOfIn(subscribed)
      const isResumed = subscribed.payload['outcome'] === 'resumed' && epoch === cursor.epoch && offset >= cursor.offset
      expect(isResumed && subscribed.payload['messages'] === offset - cursor.offset, `outcome resumed from ${show(cursor)}`, subscribed.ack)
    }
  },
  {
    name: 'resume-missed',
    demands: 'After a cut, `subscribe` with a cursor has `outcome` `resumed`, and every message that was missed comes once, the same and in order.',
    async run (context) {
      const first = await begin(context)
      const cursor = asOfIn(first.subscribed)
      const missed = await follow(context, first)
      const { peer, subscribed } = await resume(context, cursor)
      expect(subscribed.payload['outcome'] === 'resumed', 'outcome resumed', subscribed.ack)
      const replayed = await announced(peer, CHANNEL, subscribed)
      const ids = replayed.map(({ id }) => id).slice(0, missed.length)
      expect(missed.length > 0 && show(ids) === show(missed.map(({ id }) => id)), `the ids ${show(missed.map(({ id }) => id))}`, ids)
      expect(replayed.every((message, at) => offsetOf(message) === cursor.offset + 1 + at), `offsets from ${cursor.offset + 1} on`, replayed.map(offsetOf))
      expect(asOfIn(subscribed).offset === cursor.offset + replayed.length, `asOf at offset ${cursor.offset + replayed.length}`, subscribed.ack)
    }
  },
  {
    name: 'resume-epoch',
    demands: 'A cursor of another epoch has `outcome` `gap` with cause `epoch_changed`, and the present state follows.',
    async run (context) {
      await expectGap(context, { ...asOfIn((await begin(context)).subscribed), epoch: 'conformance' }, 'epoch_changed')
    }
  },
  {
    name: 'resume-wrong-id',
    demands: 'A cursor whose message id does not fit its offset has `outcome` `gap` with cause `mismatch`, and the present state follows.',
    async run (context) {
      await expectGap(context, { ...asOfIn((await begin(context)).subscribed), id: 'conformance' }, 'mismatch')
    }
  },
  {
    name: 'resume-beyond-head',
    demands: 'A cursor beyond the last offset has `outcome` `gap` with cause `mismatch`, and the present state follows.',
    async run (context) {
      const cursor = asOfIn((await begin(context)).subscribed)
      await expectGap(context, { ...cursor, offset: cursor.offset + 1_000_000 }, 'mismatch')
    }
  },
  {
    name: 'subscribe-misfits',
    demands: '`since` and `filter` for channels that are not in `channels` make the message invalid.',
    async run (context) {
      const cursor = { epoch: 'e', offset: 0, id: '' }
      const peer = await context.open()
      const ask = async (extra: object) => await peer.ask({ type: 'subscribe', channels: ['mission_stats'], ...extra })
      expectError(await ask({ since: { mission_update: cursor } }), 'invalid_message', 'since of another channel')
      expectError(await ask({ filter: { names: ['a'] } }), 'invalid_message', 'a filter without mission_update')
    }
  }
]
