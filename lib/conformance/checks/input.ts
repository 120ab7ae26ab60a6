import type { Check } from '../check.js'
import { expect } from '../outcome.js'
import type { Context } from '../context.js'
import { expectError, type WireMessage } from '../peer.js'

/** Most reasons that an error may give, and the longest of them. */
const MAX_DETAILS = 3
const MAX_DETAIL_CHARACTERS = 128
const MAX_ID_CHARACTERS = 128

/** JSON that is no client message, each with its name. */
const WRONG_SHAPES: Readonly<Record<string, unknown>> = {
  'a number': 5,
  null: null,
  'a list': [],
  'an empty object': {},
  'an unknown type': { type: 'conformance' },
  'a type that is no text': { type: 5 },
  'subscribe without channels': { type: 'subscribe' },
  'subscribe with no names': { type: 'subscribe', channels: [] },
  'subscribe with a name that is no text': { type: 'subscribe', channels: [5] },
  'subscribe with one name instead of a list': { type: 'subscribe', channels: 'mission_update' },
  'mission_start without a command': { type: 'mission_start' },
  'mission_start with an empty command': { type: 'mission_start', command: '' },
  'mission_cancel without a mission': { type: 'mission_cancel' },
  'mission_get with an empty id': { type: 'mission_get', missionId: '' },
  'an id that is no text': { type: 'ping', id: 5 }
}

/** A word that no server has of its own. */
const MARK = 'Canary7f3b1c'

/** Input that holds the mark everywhere but in an `id` that may come back. */
const MARKED = [
  `not JSON ${MARK}`,
  JSON.stringify(MARK),
  ...[
    { type: MARK },
    { type: 'ping', [MARK]: 1 },
    { type: 'ping', id: MARK.repeat(20) },
    { type: 'subscribe', channels: [MARK] },
    { type: 'subscribe', channels: [{ [MARK]: MARK }] },
    { type: 'subscribe', channels: ['mission_update'], since: { [MARK]: MARK } },
    { type: 'subscribe', channels: ['mission_update'], filter: { [MARK]: [MARK] } },
    { type: 'mission_get', missionId: MARK }
  ].map((message) => JSON.stringify(message))
]

async function refusal (context: Context, code: string, cause: string, input: object | string | Buffer): Promise<WireMessage> {
  const peer = await context.open()
  const [answer] = await peer.answersTo(input)
  expectError(answer, code, cause)
  return answer!
}

export const INPUT_CHECKS: readonly Check[] = [
  {
    name: 'invalid-json',
    demands: 'Text that is not JSON gets `protocol_error` `invalid_json`, and the connection stays open.',
    async run (context) { await refusal(context, 'invalid_json', 'text that is not JSON', '{"type":') }
  },
  {
    name: 'empty-message',
    demands: 'An empty message gets `protocol_error` `invalid_json`, and the connection stays open.',
    async run (context) { await refusal(context, 'invalid_json', 'an empty message', '') }
  },
  {
    name: 'binary-garbage',
    demands: 'A binary message that is not UTF-8 gets `protocol_error` `invalid_json`, and the connection stays open.',
    async run (context) { await refusal(context, 'invalid_json', 'binary garbage', Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x7b])) }
  },
  {
    name: 'binary-json',
    demands: 'JSON in a binary message is read as in a text message.',
    async run (context) {
      const [answer] = await (await context.open()).answersTo(Buffer.from('{"type":"whoami"}'))
      expect(answer?.type === 'whoami', 'whoami to a binary message', answer)
    }
  },
  {
    name: 'wrong-shape',
    demands: 'JSON of another shape gets one `protocol_error` `invalid_message`, and the connection stays open.',
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
    demands: 'The refusal of a message with a good `id` has it as `replyTo`.',
    async run (context) {
      const { replyTo } = await refusal(context, 'invalid_message', 'a wrong shape with an id', { type: 'subscribe', id: 'good', channels: [] })
      expect(replyTo === 'good', 'replyTo "good"', { replyTo })
    }
  },
  {
    name: 'extra-property',
    demands: 'A property that the protocol does not name makes a message invalid.',
    async run (context) {
      await refusal(context, 'invalid_message', 'an extra property', { type: 'ping', extra: true })
      await refusal(context, 'invalid_message', 'a property of another message', { type: 'ping', channels: ['mission_update'] })
    }
  },
  {
    name: 'id-length',
    demands: 'An `id` of 128 characters comes back; a longer one makes the message invalid, and does not come back.',
    async run (context) {
      const peer = await context.open()
      const longest = 'i'.repeat(MAX_ID_CHARACTERS)
      const [pong] = await peer.answersTo({ type: 'ping', id: longest })
      expect(pong?.type === 'pong' && pong.replyTo === longest, `a pong with an id of ${MAX_ID_CHARACTERS} characters`, pong)
      const { replyTo } = await refusal(context, 'invalid_message', `an id of ${MAX_ID_CHARACTERS + 1} characters`, { type: 'ping', id: `${longest}i` })
      expect(replyTo === undefined, 'no replyTo', { replyTo })
    }
  },
  {
    name: 'detail-bounds',
    demands: 'A refusal gives at most 3 reasons of at most 128 characters.',
    async run (context) {
      const wrong = { type: 'subscribe', channels: [1, 2, 3, 4, {}], a: 1, b: 2, c: 3, d: 4, filter: 5, since: 6, snapshot: 7 }
      const { error } = await refusal(context, 'invalid_message', 'a message that is wrong in many ways', wrong)
      const detail = error?.['detail'] ?? []
      const isBounded = Array.isArray(detail) && detail.length <= MAX_DETAILS && detail.every((reason) => typeof reason === 'string' && reason.length <= MAX_DETAIL_CHARACTERS)
      expect(isBounded, `at most ${MAX_DETAILS} reasons of at most ${MAX_DETAIL_CHARACTERS} characters`, detail)
    }
  },
  {
    name: 'no-echo',
    demands: 'No refusal repeats anything of the input but a good `id`.',
    async run (context) {
      const peer = await context.open()
      for (const input of MARKED) {
        const answers = await peer.answersTo(input)
        expect(answers.length > 0, `an answer to ${input}`, 'nothing')
        const echo = answers.find((answer) => JSON.stringify(answer).includes(MARK))
        expect(echo === undefined, `an answer without ${MARK}`, echo)
      }
    }
  }
]
