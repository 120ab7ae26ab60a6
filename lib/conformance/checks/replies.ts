import type { Check } from '../check.js'
import { expect, show } from '../outcome.js'
import { expectError } from '../peer.js'
import { isAck } from '../subscribe.js'

const UNKNOWN = 'conformance-no-such-mission'

/** One message of each type that is always answered. */
const REQUESTS = [
  { type: 'ping' },
  { type: 'whoami' },
  { type: 'subscribe', channels: ['mission_stats'] },
  { type: 'unsubscribe', channels: ['mission_stats'] },
  { type: 'mission_get', missionId: UNKNOWN },
  { type: 'mission_list' },
  { type: 'mission_cancel', missionId: UNKNOWN }
]

const ORDERED_REQUESTS = [
  { type: 'ping', id: 'a' },
  { type: 'whoami', id: 'b' },
  { type: 'unsubscribe', channels: ['mission_stats'], id: 'c' },
  { type: 'ping', id: 'd' }
]

export const REPLY_CHECKS: readonly Check[] = [
  {
    name: 'reply-to',
    demands: 'Every reply has the `id` of the request as `replyTo`.',
    async run (context) {
      const peer = await context.open()
      for (const message of REQUESTS) await peer.ask(message)
    }
  },
  {
    name: 'no-reply-to',
    demands: 'A reply to a request without an `id` has no `replyTo`.',
    async run (context) {
      const peer = await context.open()
      const answers = await peer.answersTo({ type: 'whoami' }, { type: 'subscribe', channels: ['mission_stats'] })
      expect(answers.some(({ type }) => type === 'whoami'), 'a whoami', answers)
      const marked = answers.find((message) => 'replyTo' in message)
      expect(marked === undefined, 'no replyTo', marked)
    }
  },
  {
    name: 'ping-pong',
    demands: 'A `ping` is answered with one `pong` without a payload.',
    async run (context) {
      const answers = await (await context.open()).answersTo({ type: 'ping', id: 'p' })
      const [pong] = answers
      const isPong = answers.length === 1 && pong!.type === 'pong' && !('payload' in pong!)
      expect(isPong, 'one pong without a payload', answers)
    }
  },
  {
    name: 'reply-order',
    demands: 'Replies arrive in the order of the requests.',
    async run (context) {
      const order = (await (await context.open()).answersTo(...ORDERED_REQUESTS)).map(({ replyTo }) => replyTo)
      expect(show(order) === show(['a', 'b', 'c', 'd']), 'replies to a, b, c, d', order)
    }
  },
  {
    name: 'whoami',
    demands: '`whoami` has the name and version of the envelope, a list of capabilities, and a list of existing ' +
      'channels.',
    async run (context) {
      const peer = await context.open()
      const reply = await peer.ask({ type: 'whoami' })
      const { server, version, channels, capabilities } = reply.payload ?? {}
      const own = reply.server as { name?: unknown, version?: unknown }
      expect(typeof server === 'string' && server === own.name, 'the name of the envelope as text', reply)
      expect(version === own.version, 'the version of the envelope', reply)
      expect(Array.isArray(channels) && channels.length > 0, 'a list of channels', reply)
      expect(Array.isArray(capabilities), 'a list of capabilities', reply)
      const answers = await peer.answersTo({ type: 'subscribe', channels: channels as string[] })
      const unknown = answers.find(({ type, error }) =>
        type === 'subscription_error' && error?.['code'] === 'unknown_channel')
      expect(unknown === undefined, 'every channel of whoami to exist', unknown)
    }
  },
  {
    name: 'cancel-unknown',
    demands: '`mission_cancel` of a mission that does not exist is answered with `protocol_error` `unknown_mission`, ' +
      'or with `unsupported` if `whoami` does not list `mission_cancel`.',
    async run (context) {
      const isListed = await context.supports('mission_cancel')
      const answer = await (await context.open()).ask({ type: 'mission_cancel', missionId: UNKNOWN })
      const isUnsupported = !isListed && answer.error?.['code'] === 'unsupported'
      if (!isUnsupported) expectError(answer, 'unknown_mission', 'mission_cancel of an unknown mission')
    }
  },
  {
    name: 'get-unknown',
    demands: '`mission_get` of a mission that does not exist is answered with `protocol_error` `unknown_mission`.',
    async run (context) {
      const answer = await (await context.open()).ask({ type: 'mission_get', missionId: UNKNOWN })
      expectError(answer, 'unknown_mission', 'mission_get of an unknown mission')
    }
  },
  {
    name: 'start-unsupported',
    demands: '`mission_start` is refused if `whoami` does not list it, and never with `unsupported` if it does.',
    async run (context) {
      const isListed = await context.supports('mission_start')
      const command = isListed ? await context.startCommand() : 'conformance'
      const reply = await (await context.open()).ask({ type: 'mission_start', command })
      if (isListed) expect(reply.error?.['code'] !== 'unsupported', 'support for the listed mission_start', reply)
      else expect(reply.type === 'protocol_error', 'a refusal of mission_start, which is not listed', reply)
    }
  },
  {
    name: 'unsubscribe-not-subscribed',
    demands: '`unsubscribe` from a channel without a subscription is acknowledged.',
    async run (context) {
      const [answer] = await (await context.open()).answersTo({ type: 'unsubscribe', channels: ['mission_update'] })
      const isUnsubscribed = answer !== undefined && isAck(answer, 'mission_update', 'unsubscribed')
      expect(isUnsubscribed, 'subscription_ack with status unsubscribed', answer)
    }
  }
]
