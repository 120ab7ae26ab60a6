import { isUtf8 } from 'node:buffer'
import {
  CLIENT_MESSAGES,
  type ClientMessage,
  type ClientMessages,
  type ClientMessageType
} from '../../../schemas/messages/client-messages.js'
import { compile, describeFailure, type Validate } from '../../base/validation.js'

export type Decoded =
  | { ok: true, message: ClientMessage }
  | { ok: false, code: 'invalid_json' }
  | { ok: false, code: 'invalid_message', detail: string[], replyTo: string | undefined }

const MAX_ID_LENGTH = 128

const validators = new Map<unknown, Validate<unknown>>(
  (Object.keys(CLIENT_MESSAGES) as ClientMessageType[]).map((type) => [type, compile(CLIENT_MESSAGES[type])]))

/**
 * Decodes one frame of a client, text or binary. Pure; never throws. `detail` never repeats any of the input. Of
 * duplicate keys the last one counts, as in JSON.parse.
 */
export function decode (data: Buffer): Decoded {
  const value = parse(data)
  if (value === undefined) return { ok: false, code: 'invalid_json' }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid(value, ['the message must be an object'])
  }
  const validate = validators.get((value as { type?: unknown }).type)
  if (validate === undefined) return invalid(value, ['type must be the type of a client message'])
  if (!validate(value)) return invalid(value, describeFailure(validate.errors))
  const message = value as ClientMessage
  const problems = message.type === 'subscribe' ? findProblems(message) : []
  return problems.length === 0 ? { ok: true, message } : invalid(value, problems)
}

// Rules between two properties, which the schema cannot express.
function findProblems ({ channels, since, ...fields }: ClientMessages['subscribe']): string[] {
  const isListed = (name: string) => channels.includes(name)
  return [
    ...(Object.keys(since ?? {}).every(isListed) ? [] : ['since has a channel that is not among channels']),
    ...FIELDS_OF_CHANNELS
      .filter(([name, channel]) => fields[name] !== undefined && !isListed(channel))
      .map(([name, channel]) => `${name} is for ${channel}, which is not among channels`)
  ]
}

const FIELDS_OF_CHANNELS = [
  ['filter', 'mission_update'], ['endings', 'mission_update'], ['latency', 'metrics_tick']
] as const

function parse (data: Buffer): unknown {
  // Decoding would turn invalid UTF-8 into replacement characters, which are valid JSON text.
  if (!isUtf8(data)) return undefined
  try {
    return JSON.parse(data.toString())
  } catch {
    return undefined
  }
}

function invalid (value: unknown, detail: string[]): Decoded {
  const id: unknown = (value as { id?: unknown } | null)?.id
  const replyTo = typeof id === 'string' && id.length <= MAX_ID_LENGTH ? id : undefined
  return { ok: false, code: 'invalid_message', detail, replyTo }
}
