import type { Check } from '../check.js'
import { expect, show } from '../outcome.js'
import { expectError } from '../peer.js'
import { isAck } from '../subscribe.js'

const UNKNOWN = 'conformance-no-such-mission'

export const REPLY_CHECKS: readonly Check[] = [
  {
    name: 'reply-to',
    demands: 'Every reply has the `id` of what it answers as `replyTo`.',
    async run (context) {
      const peer = await context.open()
      const asked = [
        { type: 'ping' }, { type: 'whoami' }, { type: 'subscribe', channels: ['mission_stats'] }, { type: 'unsubscribe', channels: ['mission_stats'] },
        { type: 'mission_get', missionId: UNKNOWN }, { type: 'mission_cancel', missionId: UNKNOWN }
      ]
      for (const message of asked) await peer.ask(message)
    }
  },
  {
    name: 'no-reply-to',
    demands: 'A reply to a message without an `id` has no `replyTo`.',
    async run (context) {
      const answers = await (await context.open()).answersTo({ type: 'whoami' }, { type: 'subscribe', channels: ['mission_stats'] })
      expect(answers.some(({ type }) => type === 'whoami'), 'a whoami', answers)
      const marked = answers.find((message) => 'replyTo' in message)
      expect(marked === undefined, 'no replyTo', marked)
    }
  },
  {
    name: 'ping-pong',
    demands: 'A `ping` gets one `pong`, without a payload.',
    async run (context) {
      const answers = await (await context.open()).answersTo({ type: 'ping', id: 'p' })
      const [pong] = answers
      expect(answers.length === 1 && pong!.type === 'pong' && !('payload' in pong!), 'one pong without a payload', answers)
    }
  },
  {
    name: 'reply-order',
    demands: 'Replies come in the order in which they were asked for.',
    async run (context) {
      const peer = await context.open()
      const asked = [{ type: 'ping', id: 'a' }, { type: 'whoami', id: 'b' }, { type: 'unsubscribe', channels: ['mission_stats'], id: 'c' }, { type: 'ping', id: 'd' }]
      const order = (await peer.answersTo(...asked)).map(({ replyTo }) => replyTo)
      expect(show(order) === show(['a', 'b', 'c', 'd']), 'replies to a, b, c, d', order)
    }
  },
  {
    name: 'whoami',
    demands: '`whoami` names the server as the envelope does, its commands, and channels that can all be subscribed to.',
    async run (context) {
      const peer = await context.open()
      const reply = await peer.ask({ type: 'whoami' })
      const { server, version, channels, capabilities } = reply.payload ?? {}
      expect(server !== undefined && show(server) === show(reply.server), 'the server of the envelope', reply)
      expect(version === (reply.server as { version?: unknown }).version, 'the version of the envelope', reply)
      expect(Array.isArray(channels) && channels.length > 0, 'a list of channels', reply)
      expect(Array.isArray(capabilities), 'a list of capabilities', reply)
      const answers = await peer.answersTo({ type: 'subscribe', channels: channels as string[] })
      const refused = answers.find(({ type, error }) => type === 'subscription_error' && error?.['code'] === 'unknown_channel')
      expect(refused === undefined, 'all channels of whoami to be known', refused)
    }
  },
  {
    name: 'cancel-unknown',
    demands: '`mission_cancel` of a mission that does not exist gets `protocol_error`: `unknown_mission`, or `unsupported` where `whoami` does not list it.',
    async run (context) {
      const code = await context.takes('mission_cancel') ? 'unknown_mission' : 'unsupported'
      expectError(await (await context.open()).ask({ type: 'mission_cancel', missionId: UNKNOWN }), code, 'mission_cancel of an unknown mission')
    }
  },
  {
    name: 'get-unknown',
    demands: '`mission_get` of a mission that does not exist gets `protocol_error` `unknown_mission`.',
    async run (context) {
      expectError(await (await context.open()).ask({ type: 'mission_get', missionId: UNKNOWN }), 'unknown_mission', 'mission_get of an unknown mission')
    }
  },
  {
    name: 'start-unsupported',
    demands: 'Where `whoami` does not list `mission_start`, it gets `protocol_error` `unsupported`; where it does, no such answer.',
    async run (context) {
      const isTaken = await context.takes('mission_start')
      const command = isTaken ? await context.startCommand() : 'conformance'
      const reply = await (await context.open()).ask({ type: 'mission_start', command })
      if (isTaken) expect(reply.error?.['code'] !== 'unsupported', 'a server that takes what it lists', reply)
      else expectError(reply, 'unsupported', 'mission_start')
    }
  },
  {
    name: 'unsubscribe-not-subscribed',
    demands: '`unsubscribe` from a channel that was not subscribed to is acknowledged all the same.',
    async run (context) {
      const [answer] = await (await context.open()).answersTo({ type: 'unsubscribe', channels: ['mission_update'] })
      expect(answer !== undefined && isAck(answer, 'mission_update', 'unsubscribed'), 'subscription_ack with status unsubscribed', answer)
    }
  }
]
