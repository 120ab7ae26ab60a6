import { CHANNEL_NAMES } from '../../../schemas/channels/index.js'
import { MAX_CHANNELS_PER_MESSAGE } from '../../../schemas/messages/client-messages.js'
import type { Check } from '../check.js'
import { expect, show } from '../outcome.js'
import { expectError, type Peer, type WireMessage } from '../peer.js'
import { isAck, subscribe, unsubscribe } from '../subscribe.js'

const ackedChannels = (messages: readonly WireMessage[]): unknown[] =>
  messages.filter(({ type }) => type === 'subscription_ack').map(({ payload }) => payload?.['channel'])

const unknownNames = (count: number): string[] => Array.from({ length: count }, (_, at) => `conformance_${at}`)

const isSnapshot = ({ payload }: WireMessage): boolean => payload?.['snapshot'] === true

/** Identifies the content of a message whatever its id: the update of a mission, or the time of statistics. */
const contentOf = ({ payload }: WireMessage): string =>
  show([payload?.['missionId'], payload?.['seq'], payload?.['snapshotId']])

function expectUnknown (answers: readonly WireMessage[], positions: readonly number[]): void {
  const errors = answers.filter(({ type }) => type === 'subscription_error').map(({ error }) => error)
  const isUnknown = errors.every((error) => error?.['code'] === 'unknown_channel')
  expect(isUnknown && errors.length === positions.length, `${positions.length} errors unknown_channel`, errors)
  // A server need not send positions.
  const sent = errors.map((error) => error?.['position'])
  const hasNone = sent.every((position) => position === undefined)
  expect(hasNone || show(sent) === show(positions), `the positions ${show(positions)}`, sent)
}

function expectNoDuplicates (peer: Peer, channel: string, from: number): void {
  const contents = new Set<string>()
  for (const message of peer.since(from)) {
    if (message.type !== channel || isSnapshot(message)) continue
    expect(!contents.has(contentOf(message)), 'every message once', message)
    contents.add(contentOf(message))
  }
}

export const SUBSCRIPTION_CHECKS: readonly Check[] = [
  {
    name: 'ack-per-channel',
    demands: '`subscribe` is answered with one `subscription_ack` per channel, in the order of the list.',
    async run (context) {
      const names = ['mission_stats', 'health_delta', 'mission_update']
      const peer = await context.open()
      const acks = ackedChannels(await peer.answersTo({ type: 'subscribe', channels: names }))
      expect(show(acks) === show(names), `acks of ${names.join(', ')}`, acks)
    }
  },
  {
    name: 'ack-before-snapshot',
    demands: 'The ack of a channel precedes every message of the channel.',
    async run (context) {
      const peer = await context.open()
      const answers = await peer.answersTo({ type: 'subscribe', channels: CHANNEL_NAMES })
      for (const name of CHANNEL_NAMES) {
        const ackAt = answers.findIndex((message) => isAck(message, name, 'subscribed'))
        const firstAt = answers.findIndex(({ type }) => type === name)
        const isAckFirst = firstAt === -1 || (ackAt !== -1 && ackAt < firstAt)
        expect(isAckFirst, `the ack of ${name} before its first message`, answers[firstAt])
      }
    }
  },
  {
    name: 'unknown-channel',
    demands: 'Each unknown channel is answered with one `subscription_error`, with its position in the list if the ' +
      'server sends positions; the other channels are acknowledged. Names are case-sensitive.',
    async run (context) {
      const channels = ['conformance', 'mission_stats', 'Mission_update', 'mission_update', '']
      const answers = await (await context.open()).answersTo({ type: 'subscribe', channels })
      const acks = ackedChannels(answers)
      expect(show(acks) === show(['mission_stats', 'mission_update']), 'acks of mission_stats and mission_update', acks)
      expectUnknown(answers, [0, 2, 4])
    }
  },
  {
    name: 'unsubscribe-unknown',
    demands: '`unsubscribe` from each unknown channel is answered with one `subscription_error`, with its position ' +
      'in the list if the server sends positions; the other channels are acknowledged.',
    async run (context) {
      const peer = await context.open()
      const answers = await peer.answersTo({ type: 'unsubscribe', channels: ['mission_stats', 'conformance'] })
      expect(show(ackedChannels(answers)) === show(['mission_stats']), 'an ack of mission_stats', answers)
      expectUnknown(answers, [1])
    }
  },
  {
    name: 'duplicate-names',
    demands: 'A channel that is listed twice in one message counts once.',
    async run (context) {
      const channels = ['mission_stats', 'mission_stats', 'mission_stats']
      const acks = ackedChannels(await (await context.open()).answersTo({ type: 'subscribe', channels }))
      expect(show(acks) === show(['mission_stats']), 'one ack', acks)
    }
  },
  {
    name: 'max-names',
    demands: 'A list of 64 channels is accepted; a list of 65 is refused as a whole with `protocol_error` ' +
      '`invalid_message`.',
    async run (context) {
      const peer = await context.open()
      const fits = ['mission_stats', ...unknownNames(MAX_CHANNELS_PER_MESSAGE - 1)]
      const accepted = await peer.answersTo({ type: 'subscribe', channels: fits })
      const isAccepted = ackedChannels(accepted).length === 1
      expect(isAccepted, `an ack of the one channel among ${MAX_CHANNELS_PER_MESSAGE} names`, accepted[0])
      const tooMany = ['mission_update', ...unknownNames(MAX_CHANNELS_PER_MESSAGE)]
      const refused = await peer.answersTo({ type: 'subscribe', channels: tooMany })
      expect(ackedChannels(refused).length === 0, `no ack of any of ${tooMany.length} names`, refused)
      expectError(refused.find(({ type }) => type === 'protocol_error'), 'invalid_message', `${tooMany.length} names`)
    }
  },
  {
    name: 'subscribe-again',
    demands: 'Repeating a subscription changes nothing: the ack has no `outcome`, no second snapshot follows, and ' +
      'every message arrives once.',
    async run (context) {
      const { channel, provoke } = await context.traffic()
      const peer = await context.open()
      await subscribe(peer, channel)
      await peer.barrier()
      const { ack, payload, index } = await subscribe(peer, channel)
      expect(!('outcome' in payload) && !('messages' in payload), 'an ack without outcome', ack)
      const second = (await peer.barrier(index)).find((message) => message.type === channel && isSnapshot(message))
      expect(second === undefined, 'no second snapshot', second)
      const from = peer.mark
      await provoke(peer)
      await peer.barrier(from)
      expectNoDuplicates(peer, channel, from)
    }
  },
  {
    name: 'unsubscribe-silence',
    demands: 'No message of a channel follows the ack of its `unsubscribe`.',
    async run (context) {
      const { channel, provoke } = await context.traffic()
      const [observer, peer] = [await context.open(), await context.open()]
      await subscribe(observer, channel)
      await subscribe(peer, channel)
      await unsubscribe(peer, channel)
      const ackAt = peer.received.findIndex(({ message }) => message && isAck(message, channel, 'unsubscribed'))
      await provoke(observer)
      const late = (await peer.barrier(ackAt + 1)).find(({ type }) => type === channel)
      expect(late === undefined, `no ${channel} after unsubscribing`, late)
    }
  }
]
