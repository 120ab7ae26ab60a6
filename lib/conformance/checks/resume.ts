import { missionChecksum } from '../../../schemas/checksum.js'
import type { Check } from '../check.js'
import { isTerminalUpdate, type CheckContext } from '../context.js'
import { expect, show, Skip } from '../outcome.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { announced, asOfIn, subscribe, type Subscribed, type WireCursor } from '../subscribe.js'

const CHANNEL = 'mission_update'

interface FreshSubscription { peer: Peer, subscribed: Subscribed, snapshot: WireMessage[] }

const offsetOf = ({ position }: WireMessage): number | undefined =>
  (position as { offset?: number } | undefined)?.offset

/** Subscribes for the first time and waits for the snapshot. */
async function begin (
  context: CheckContext, channel: 'mission_update' | 'health_delta' = CHANNEL
): Promise<FreshSubscription> {
  const peer = await context.open()
  const subscribed = await subscribe(peer, channel)
  expect(subscribed.payload['outcome'] === 'fresh', 'outcome fresh', subscribed.ack)
  return { peer, subscribed, snapshot: await announced(peer, channel, subscribed) }
}

/** Subscribes with a cursor over a new connection. */
async function resume (
  context: CheckContext, since: WireCursor, extra: object = {}
): Promise<{ peer: Peer, subscribed: Subscribed }> {
  const peer = await context.open()
  const subscribed = await subscribe(peer, CHANNEL, { since: { [CHANNEL]: since }, ...extra })
  if (causeOf(subscribed) === 'not_authorised') throw new Skip('this client may not receive missed messages')
  return { peer, subscribed }
}

const causeOf = ({ payload }: Subscribed): unknown => (payload['gap'] as { cause?: unknown } | undefined)?.cause

async function expectGap (context: CheckContext, since: WireCursor, cause: string): Promise<void> {
  const { peer, subscribed } = await resume(context, since)
  const isGap = subscribed.payload['outcome'] === 'gap' && causeOf(subscribed) === cause
  expect(isGap, `outcome gap with cause ${cause}`, subscribed.ack)
  asOfIn(subscribed)
  await expectSnapshot(peer, CHANNEL, subscribed, await announced(peer, CHANNEL, subscribed))
}

/** Expects that exactly the announced messages are snapshots. */
async function expectSnapshot (
  peer: Peer, channel: string, { index, ack }: Subscribed, snapshot: readonly WireMessage[]
): Promise<void> {
  const unmarked = snapshot.find(({ payload }) => payload?.['snapshot'] !== true)
  const marked = `${snapshot.length} messages marked snapshot: true after ${show(ack.payload)}`
  expect(unmarked === undefined, marked, unmarked)
  await peer.barrier()
  const all = peer.since(index).filter(({ type, payload }) => type === channel && payload?.['snapshot'] === true)
  expect(all.length === snapshot.length, `${snapshot.length} snapshot messages`, `${all.length} of them`)
}

/** Runs a mission and returns the messages with positions that a subscriber receives. */
async function observeMission (context: CheckContext, { peer, subscribed }: FreshSubscription): Promise<WireMessage[]> {
  await context.ending(peer, await context.startMission())
  await peer.barrier()
  return peer.since(subscribed.index).filter(({ type, position }) => type === CHANNEL && position !== undefined)
}

const idsOf = (messages: readonly WireMessage[]): unknown[] => messages.map(({ id }) => id)

export const RESUME_CHECKS: readonly Check[] = [
  {
    name: 'outcome-fresh',
    demands: 'The ack of a first subscription to a channel with positions has `outcome` `fresh`, `asOf` and ' +
      '`messages`.',
    async run (context) {
      const { subscribed } = await begin(context)
      asOfIn(subscribed)
    }
  },
  {
    name: 'snapshot-count',
    demands: 'The ack is followed by exactly `messages` messages with `snapshot: true`, before any other message of ' +
      'the channel.',
    async run (context) {
      await context.tryStartMission()
      const missions = await begin(context)
      await expectSnapshot(missions.peer, CHANNEL, missions.subscribed, missions.snapshot)
      const health = await begin(context, 'health_delta')
      await expectSnapshot(health.peer, 'health_delta', health.subscribed, health.snapshot)
    }
  },
  {
    name: 'snapshot-checksum',
    demands: 'The `checksum` of `asOf` is that of the missions in the snapshot that have not ended.',
    async run (context) {
      await context.startMission()
      const { subscribed, snapshot } = await begin(context)
      const checksum = (subscribed.payload['asOf'] as { checksum?: string } | undefined)?.checksum
      if (checksum === undefined) throw new Skip('asOf has no checksum')
      const active = snapshot.filter((message) => !isTerminalUpdate(message))
        .map(({ payload }) => ({ missionId: String(payload?.['missionId']), status: String(payload?.['status']) }))
      const expected = missionChecksum(active)
      expect(checksum === expected, `the checksum ${expected} of ${active.length} missions`, checksum)
    }
  },
  {
    name: 'snapshot-flag',
    demands: '`subscribe` with a cursor and `snapshot: true` returns the missions that have not ended, even if no ' +
      'messages were missed.',
    async run (context) {
      const missionId = await context.startMission()
      const { subscribed, snapshot } = await begin(context)
      const isMission = ({ payload }: WireMessage): boolean => payload?.['missionId'] === missionId
      const isActive = snapshot.some((message) => isMission(message) && !isTerminalUpdate(message))
      if (!isActive) throw new Skip('the mission had ended before the snapshot; use a command that takes longer')
      const again = await resume(context, asOfIn(subscribed), { snapshot: true })
      const messages = await announced(again.peer, CHANNEL, again.subscribed)
      expect(messages.some(isMission), `mission ${missionId} among the announced messages`, messages)
    }
  },
  {
    name: 'resume-nothing-missed',
    demands: 'A `subscribe` with the cursor of `asOf` has `outcome` `resumed`, the same epoch, and an offset that is ' +
      'not lower.',
    async run (context) {
      const cursor = asOfIn((await begin(context)).subscribed)
      const { subscribed } = await resume(context, cursor)
      const { outcome, messages } = subscribed.payload
      const { epoch, offset } = asOfIn(subscribed)
      const isResumed = outcome === 'resumed' && epoch === cursor.epoch && offset >= cursor.offset
      expect(isResumed && messages === offset - cursor.offset, `outcome resumed from ${show(cursor)}`, subscribed.ack)
    }
  },
  {
    name: 'resume-missed',
    demands: 'After a lost connection, `subscribe` with a cursor has `outcome` `resumed` and replays every missed ' +
      'message once, unchanged and in order.',
    async run (context) {
      const first = await begin(context)
      const cursor = asOfIn(first.subscribed)
      const missed = await observeMission(context, first)
      const { peer, subscribed } = await resume(context, cursor)
      expect(subscribed.payload['outcome'] === 'resumed', 'outcome resumed', subscribed.ack)
      const replayed = await announced(peer, CHANNEL, subscribed)
      const ids = idsOf(replayed).slice(0, missed.length)
      expect(missed.length > 0 && show(ids) === show(idsOf(missed)), `the ids ${show(idsOf(missed))}`, ids)
      const isContiguous = replayed.every((message, at) => offsetOf(message) === cursor.offset + 1 + at)
      expect(isContiguous, `offsets from ${cursor.offset + 1} on`, replayed.map(offsetOf))
      const last = cursor.offset + replayed.length
      expect(asOfIn(subscribed).offset === last, `asOf at offset ${last}`, subscribed.ack)
    }
  },
  {
    name: 'resume-epoch',
    demands: 'A cursor of another epoch has `outcome` `gap` with cause `epoch_changed`, and a snapshot follows.',
    async run (context) {
      await expectGap(context, { ...asOfIn((await begin(context)).subscribed), epoch: 'conformance' }, 'epoch_changed')
    }
  },
  {
    name: 'resume-wrong-id',
    demands: 'A cursor whose message id does not match its offset has `outcome` `gap` with cause `mismatch`, and a ' +
      'snapshot follows.',
    async run (context) {
      await expectGap(context, { ...asOfIn((await begin(context)).subscribed), id: 'conformance' }, 'mismatch')
    }
  },
  {
    name: 'resume-beyond-head',
    demands: 'A cursor beyond the last offset has `outcome` `gap` with cause `mismatch`, and a snapshot follows.',
    async run (context) {
      const cursor = asOfIn((await begin(context)).subscribed)
      await expectGap(context, { ...cursor, offset: cursor.offset + 1_000_000 }, 'mismatch')
    }
  },
  {
    name: 'subscribe-other-channel',
    demands: '`subscribe` is refused if its `since` or `filter` is for a channel that is not in `channels`.',
    async run (context) {
      const cursor = { epoch: 'e', offset: 0, id: '' }
      const peer = await context.open()
      const ask = async (extra: object) => await peer.ask({ type: 'subscribe', channels: ['mission_stats'], ...extra })
      expectError(await ask({ since: { mission_update: cursor } }), 'invalid_message', 'since of another channel')
      expectError(await ask({ filter: { names: ['a'] } }), 'invalid_message', 'a filter without mission_update')
    }
  }
]
