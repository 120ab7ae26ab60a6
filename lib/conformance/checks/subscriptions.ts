import { CHANNEL_NAMES } from '../../../schemas/channels/index.js'
import { MAX_CHANNELS_PER_MESSAGE } from '../../../schemas/messages/client-messages.js'
import type { Check } from '../check.js'
import { expect, show } from '../outcome.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { isAck, subscribe, unsubscribe } from '../subscribe.js'

const acksIn = (messages: readonly WireMessage[]) => messages.filter(({ type }) => type === 'subscription_ack').map(({ payload }) => payload?.['channel'])

const fillers = (count: number): string[] => Array.from({ length: count }, (_, at) => `conformance_${at}`)

/** What makes two messages of a channel the same news, whatever their ids: of missions the step, of counts the moment. */
const newsOf = ({ payload }: WireMessage): string => show([payload?.['missionId'], payload?.['seq'], payload?.['snapshotId']])

function expectUnknown (answers: readonly WireMessage[], positions: readonly number[]): void {
  const errors = answers.filter(({ type }) => type === 'subscription_error')
  const [first] = errors
  const isRight = errors.length === 1 && first!.error?.['code'] === 'unknown_channel' && show(first!.error['positions']) === show(positions)
  expect(isRight, `one subscription_error unknown_channel with the positions ${show(positions)}`, answers.at(-1))
}

export const SUBSCRIPTION_CHECKS: readonly Check[] = [
  {
    name: 'ack-per-channel',
    demands: '`subscribe` gets one `subscription_ack` for each channel, in the order of the list.',
    async run (context) {
      const names = ['mission_stats', 'health_delta', 'mission_update']
      const acks = acksIn(await (await context.open()).answersTo({ type: 'subscribe', channels: names }))
      expect(show(acks) === show(names), `acks of ${names.join(', ')}`, acks)
    }
  },
  {
    name: 'ack-before-snapshot',
    demands: 'The ack of a channel comes before any message of the channel.',
    async run (context) {
      const answers = await (await context.open()).answersTo({ type: 'subscribe', channels: CHANNEL_NAMES })
      for (const name of CHANNEL_NAMES) {
        const ackAt = answers.findIndex((message) => isAck(message, name, 'subscribed'))
        const firstAt = answers.findIndex(({ type }) => type === name)
        expect(firstAt === -1 || (ackAt !== -1 && ackAt < firstAt), `the ack of ${name} before its first message`, answers[firstAt])
      }
    }
  },
  {
    name: 'unknown-channel',
    demands: 'Unknown names get one `subscription_error` with their positions, after the other channels were subscribed to; names are matched exactly.',
    async run (context) {
      const peer = await context.open()
      const answers = await peer.answersTo({ type: 'subscribe', channels: ['conformance', 'mission_stats', 'Mission_update', 'mission_update', ''] })
      const acks = acksIn(answers)
      expect(show(acks) === show(['mission_stats', 'mission_update']), 'acks of mission_stats and mission_update', acks)
      expectUnknown(answers, [0, 2, 4])
    }
  },
  {
    name: 'unsubscribe-unknown',
    demands: '`unsubscribe` from unknown names gets one `subscription_error` with their positions; the others are acknowledged.',
    async run (context) {
      const answers = await (await context.open()).answersTo({ type: 'unsubscribe', channels: ['mission_stats', 'conformance'] })
      expect(show(acksIn(answers)) === show(['mission_stats']), 'an ack of mission_stats', answers)
      expectUnknown(answers, [1])
    }
  },
  {
    name: 'duplicate-names',
    demands: 'A name that is twice in one list counts once.',
    async run (context) {
      const acks = acksIn(await (await context.open()).answersTo({ type: 'subscribe', channels: ['mission_stats', 'mission_stats', 'mission_stats'] }))
      expect(show(acks) === show(['mission_stats']), 'one ack', acks)
    }
  },
  {
    name: 'max-names',
    demands: 'A list of 64 names is carried out; of one with 65 nothing is, and it gets `protocol_error` `invalid_message`.',
    async run (context) {
      const peer = await context.open()
      const most = await peer.answersTo({ type: 'subscribe', channels: ['mission_stats', ...fillers(MAX_CHANNELS_PER_MESSAGE - 1)] })
      expect(acksIn(most).length === 1, `an ack of the one channel among ${MAX_CHANNELS_PER_MESSAGE} names`, most[0])
      const more = await peer.answersTo({ type: 'subscribe', channels: ['mission_update', ...fillers(MAX_CHANNELS_PER_MESSAGE)] })
      expect(acksIn(more).length === 0, `no ack of any of ${MAX_CHANNELS_PER_MESSAGE + 1} names`, more)
      expectError(more.find(({ type }) => type === 'protocol_error'), 'invalid_message', `${MAX_CHANNELS_PER_MESSAGE + 1} names`)
    }
  },
  {
    name: 'subscribe-again',
    demands: 'To subscribe again to the same changes nothing: an ack without `outcome`, no second snapshot, and every message once.',
    async run (context) {
      const { channel, provoke } = await context.traffic()
      const peer = await context.open()
      await subscribe(peer, channel)
      await peer.fence()
      const { ack, payload, place } = await subscribe(peer, channel)
      expect(!('outcome' in payload) && !('messages' in payload), 'an ack without outcome', ack)
      const snapshot = (await peer.fence(place)).find((message) => message.type === channel && message.payload?.['snapshot'] === true)
      expect(snapshot === undefined, 'no second snapshot', snapshot)
      const from = peer.mark
      await provoke(peer)
      await peer.fence(from)
      expectOnce(peer, channel, from)
    }
  },
  {
    name: 'unsubscribe-silence',
    demands: 'After the ack of an `unsubscribe` no message of the channel comes.',
    async run (context) {
      const { channel, provoke } = await context.traffic()
      const [witness, peer] = [await context.open(), await context.open()]
      await subscribe(witness, channel)
      await subscribe(peer, channel)
      await unsubscribe(peer, channel)
      const from = peer.received.findIndex(({ message }) => message !== undefined && isAck(message, channel, 'unsubscribed')) + 1
      await provoke(witness)
      const news = (await peer.fence(from)).find(({ type }) => type === channel)
      expect(news === undefined, `nothing of ${channel} after unsubscribing`, news)
    }
  }
]

function expectOnce (peer: Peer, channel: string, from: number): void {
  const news = peer.since(from).filter(({ type, payload }) => type === channel && payload?.['snapshot'] !== true)
  const seen = new Set<string>()
  for (const message of news) {
    expect(!seen.has(newsOf(message)), 'every message once', message)
    seen.add(newsOf(message))
  }
}
