import type { MissionError } from '../../../schemas/mission.js'
import { readList, readSafely } from './json-copy.js'
import { cutBytesVisibly, cutVisibly } from './text.js'

/** What one thrown value says. Each of its properties is read once; a getter that throws says nothing. */
interface Failure {
  code?: string | undefined
  /** Used where nothing has a code: an HTTP or exit status, a signal, or the name of the error. */
  kind?: string | undefined
  message?: string | undefined
  cause?: Failure | undefined
  /** The errors that an error without a message of its own, or an AggregateError, stands for. */
  parts?: Failure[]
}

const MESSAGE_BYTES = 2_048
const CODE_CHARACTERS = 64
/** How far causes and nested errors are followed, so that `causes` has at most as many codes. */
const MAX_DEPTH = 5
/** Errors that are read in all: lists can be long, and nested. */
const MAX_ERRORS = 32
const SIGNAL = /^SIG[A-Z0-9]+$/
// Control and format characters, halves of surrogate pairs, and every kind of space and line break.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Z}]+/gu

/**
 * Why a mission failed, as far as `thrown` says it: a code, at most 2 KiB of text, and the codes of the causes. Never
 * throws. No stack and no text of a cause is part of it, because those hold internals such as addresses.
 */
export function copyError (thrown: unknown): MissionError {
  const read = new Map<unknown, Failure>()
  const top = readFailure(thrown, 0, read)!
  const failures = [...read.values()]
  const firstWith = (field: 'code' | 'kind') => failures.find((failure) => failure[field] !== undefined)?.[field]
  const known = firstWith('code') ?? firstWith('kind')
  const message = readMessage(top) ?? (known === undefined ? 'unknown error' : `error code ${known}`)
  const error: MissionError = { code: known ?? 'error', message: cutBytesVisibly(message, MESSAGE_BYTES) }
  const causes = listCauses(top)
  if (causes.length > 0) error.causes = causes
  return error
}

/** Reads `value`, then its causes, then its parts, and adds them to `read` in this order. */
function readFailure (value: unknown, depth: number, read: Map<unknown, Failure>): Failure | undefined {
  if (depth > MAX_DEPTH || read.size === MAX_ERRORS || read.has(value)) return undefined
  const failure: Failure = {}
  read.set(value, failure)
  if (typeof value !== 'object') {
    failure.code = numberText(value)
    failure.message = nonEmpty(value)
    return failure
  }
  const name = printable(readSafely(value, 'name'))
  const ownName = name === 'Error' ? undefined : name
  failure.code = isDomException(value) ? ownName : codeText(readSafely(value, 'code'))
  failure.kind = statusText(value) ?? ownName
  failure.message = nonEmpty(readSafely(value, 'message'))
  const cause = readSafely(value, 'cause')
  if (cause !== undefined) failure.cause = readFailure(cause, depth + 1, read)
  // Other errors with `errors` describe invalid fields there, such as those of Zod: the code is that of the whole.
  if (failure.message !== undefined && name !== 'AggregateError') return failure
  const parts = readList(readSafely(value, 'errors'))
  if (Array.isArray(parts)) failure.parts = parts.flatMap((part) => readFailure(part, depth + 1, read) ?? [])
  return failure
}

// Texts of causes are not used.
function readMessage ({ message, parts = [] }: Failure): string | undefined {
  for (const part of parts) message ??= readMessage(part)
  return message
}

function listCauses ({ cause }: Failure): string[] {
  const codes: string[] = []
  for (let at = cause; at !== undefined; at = at.cause) {
    const code = at.code ?? at.kind
    if (code !== undefined) codes.push(code)
  }
  return Object.freeze(codes) as string[]
}

// Its numeric code is a legacy that is 0 for newer names, so the name is the code. The constant tells it from other
// errors in every realm, polyfill and subclass.
const isDomException = (value: unknown): boolean => readSafely(value, 'ABORT_ERR') === 20

function statusText (value: unknown): string | undefined {
  const status = numberText(readSafely(value, 'status')) ?? numberText(readSafely(value, 'statusCode'))
  if (status !== undefined) return status
  const signal = readSafely(value, 'signal')
  return typeof signal === 'string' && SIGNAL.test(signal) ? printable(signal) : undefined
}

const codeText = (value: unknown): string | undefined => numberText(value) ?? printable(value)

const numberText = (value: unknown): string | undefined =>
  Number.isFinite(value) || typeof value === 'bigint' ? printable(String(value)) : undefined

function printable (value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.replace(UNPRINTABLE, ' ').trim()
  return text === '' ? undefined : cutVisibly(text, CODE_CHARACTERS)
}

const nonEmpty = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value : undefined
