import type { Check } from '../check.js'
import type { CheckContext } from '../context.js'
import { expect } from '../outcome.js'
import { expectError, type WireMessage } from '../peer.js'

/** Limits of the `detail` of an error. */
const MAX_DETAILS = 3
const MAX_DETAIL_CHARACTERS = 128
const MAX_ID_CHARACTERS = 128

/** JSON values that are not client messages, by description. */
const WRONG_SHAPES: Readonly<Record<string, unknown>> = {
  'a number': 5,
  null: null,
  'an array': [],
  'an empty object': {},
  'an unknown type': { type: 'conformance' },
  'a type that is not a string': { type: 5 },
  'subscribe without channels': { type: 'subscribe' },
  'subscribe with an empty list of channels': { type: 'subscribe', channels: [] },
  'subscribe with a channel that is not a string': { type: 'subscribe', channels: [5] },
  'subscribe with a string instead of a list': { type: 'subscribe', channels: 'mission_update' },
  'mission_start without a command': { type: 'mission_start' },
  'mission_start with an empty command': { type: 'mission_start', command: '' },
  'mission_cancel without a mission': { type: 'mission_cancel' },
  'mission_get with an empty id': { type: 'mission_get', missionId: '' },
  'an id that is not a string': { type: 'ping', id: 5 }
}

/** A word that no server uses by itself. */
const CANARY = 'Canary7f3b1c'

/** Inputs that contain the canary everywhere except in an `id` that may be repeated. */
const CANARY_INPUTS = [
  `not JSON ${CANARY}`,
  JSON.stringify(CANARY),
  ...[
    { type: CANARY },
    { type: 'ping', [CANARY]: 1 },
    { type: 'ping', id: CANARY.repeat(20) },
    { type: 'subscribe', channels: [CANARY] },
    { type: 'subscribe', channels: [{ [CANARY]: CANARY }] },
    { type: 'subscribe', channels: ['mission_update'], since: { [CANARY]: CANARY } },
    { type: 'subscribe', channels: ['mission_update'], filter: { [CANARY]: [CANARY] } },
    { type: 'mission_get', missionId: CANARY }
  ].map((message) => JSON.stringify(message))
]

type ClientInput = object | string | Buffer

/** Sends an input over a new connection, and expects a `protocol_error` and a connection that stays open. */
async function expectRefusal (
  context: CheckContext, code: string, cause: string, input: ClientInput
): Promise<WireMessage> {
  const peer = await context.open()
  const [answer] = await peer.answersTo(input)
  expectError(answer, code, cause)
  return answer!
}

/** A `subscribe` with more errors than a refusal may list. */
const MANY_ERRORS = {
  type: 'subscribe', channels: [1, 2, 3, 4, {}], a: 1, b: 2, c: 3, d: 4, filter: 5, since: 6, snapshot: 7
}

const isDetail = (text: unknown): boolean => typeof text === 'string' && text.length <= MAX_DETAIL_CHARACTERS

export const INPUT_CHECKS: readonly Check[] = [
  {
    name: 'invalid-json',
    demands: 'Text that is not JSON is answered with `protocol_error` `invalid_json`, and the connection stays open.',
    async run (context) { await expectRefusal(context, 'invalid_json', 'text that is not JSON', '{"type":') }
  },
  {
    name: 'empty-message',
    demands: 'An empty message is answered with `protocol_error` `invalid_json`, and the connection stays open.',
    async run (context) { await expectRefusal(context, 'invalid_json', 'an empty message', '') }
  },
  {
    name: 'binary-garbage',
    demands: 'A binary message that is not UTF-8 is answered with `protocol_error` `invalid_json`, and the ' +
      'connection stays open.',
    async run (context) {
      const bytes = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x7b])
      await expectRefusal(context, 'invalid_json', 'a binary message that is not UTF-8', bytes)
    }
  },
  {
    name: 'binary-json',
    demands: 'JSON in a binary message is accepted like JSON in a text message.',
    async run (context) {
      const [answer] = await (await context.open()).answersTo(Buffer.from('{"type":"whoami"}'))
      expect(answer?.type === 'whoami', 'whoami in reply to a binary message', answer)
    }
  },
  {
    name: 'wrong-shape',
    demands: 'JSON that is not a client message is answered with one `protocol_error` `invalid_message`, and the ' +
      'connection stays open.',
    async run (context) {
      const peer = await context.open()
      for (const [cause, value] of Object.entries(WRONG_SHAPES)) {
        const answers = await peer.answersTo(JSON.stringify(value))
        expectError(answers[0], 'invalid_message', cause)
        expect(answers.length === 1, `one answer to ${cause}`, answers)
      }
    }
  },
  {
    name: 'wrong-shape-reply-to',
    demands: 'The refusal of an invalid message with a valid `id` has that `id` as `replyTo`.',
    async run (context) {
      const message = { type: 'subscribe', id: 'good', channels: [] }
      const { replyTo } = await expectRefusal(context, 'invalid_message', 'an invalid message with an id', message)
      expect(replyTo === 'good', 'replyTo "good"', { replyTo })
    }
  },
  {
    name: 'extra-property',
    demands: 'A property that the protocol does not define makes a message invalid.',
    async run (context) {
      const foreign = { type: 'ping', channels: ['mission_update'] }
      await expectRefusal(context, 'invalid_message', 'an extra property', { type: 'ping', extra: true })
      await expectRefusal(context, 'invalid_message', 'a property of another message', foreign)
    }
  },
  {
    name: 'id-length',
    demands: 'An `id` of 128 characters is returned as `replyTo`; a longer `id` makes the message invalid and is ' +
      'not returned.',
    async run (context) {
      const longest = 'i'.repeat(MAX_ID_CHARACTERS)
      const tooLong = { type: 'ping', id: `${longest}i` }
      const cause = `an id of ${MAX_ID_CHARACTERS + 1} characters`
      const [pong] = await (await context.open()).answersTo({ type: 'ping', id: longest })
      const isReturned = pong?.type === 'pong' && pong.replyTo === longest
      expect(isReturned, `a pong with replyTo of ${MAX_ID_CHARACTERS} characters`, pong)
      const { replyTo } = await expectRefusal(context, 'invalid_message', cause, tooLong)
      expect(replyTo === undefined, 'no replyTo', { replyTo })
    }
  },
  {
    name: 'detail-bounds',
    demands: 'A refusal lists at most 3 reasons of at most 128 characters each.',
    async run (context) {
      const { error } = await expectRefusal(context, 'invalid_message', 'a message with many errors', MANY_ERRORS)
      const detail = error?.['detail'] ?? []
      const isBounded = Array.isArray(detail) && detail.length <= MAX_DETAILS && detail.every(isDetail)
      expect(isBounded, `at most ${MAX_DETAILS} reasons of at most ${MAX_DETAIL_CHARACTERS} characters each`, detail)
    }
  },
  {
    name: 'no-echo',
    demands: 'A refusal repeats nothing of the input except a valid `id`.',
    async run (context) {
      const peer = await context.open()
      for (const input of CANARY_INPUTS) {
        const answers = await peer.answersTo(input)
        expect(answers.length > 0, `an answer to ${input}`, 'nothing')
        const echo = answers.find((answer) => JSON.stringify(answer).includes(CANARY))
        expect(echo === undefined, `an answer without ${CANARY}`, echo)
      }
    }
  }
]
