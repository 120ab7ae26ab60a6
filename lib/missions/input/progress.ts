import { InvalidMission } from '../../base/errors.js'
import { readSafely, UNSERIALIZABLE } from '../payload/json-copy.js'
import type { CheckedProgress, ProgressInput, TextCuts } from '../types.js'
import { taskIdOf } from './text.js'

const FIELDS = ['taskId', 'index', 'total', 'status', 'percent', 'fraction'] as const

/** The parts of a progress as the host passed them. */
type Fields = { [Name in (typeof FIELDS)[number]]?: unknown }

type Numbers = { [Name in 'index' | 'total' | 'fraction']: number | undefined }
/** As in `CheckedProgress`. */
type Counts = Pick<CheckedProgress, 'index' | 'total' | 'fraction'>

/** Common names of other libraries, which are read where the name of this one is missing. */
const SYNONYMS = {
  index: ['current', 'processed', 'completed', 'done'],
  total: ['count', 'of'],
  percent: ['percentage', 'progress'],
  fraction: [],
  status: ['message', 'state', 'stage']
} as const

const OVERALL = 'mission'
const MAX_STATUS_CHARACTERS = 64
const MAX_TASK_ID_CHARACTERS = 256
const MAX_DIGITS = 32
/** A share is shown as this many parts, unless it comes with a total. */
const WHOLE = 100
/** Keeps 7 %, which is 7.000000000000001 when computed from its fraction, from being rounded up to 8. */
const ROUNDING = 1e-9

/**
 * What the host reports as progress, within the limits of the wire; `undefined` if it says nothing but that the work is
 * alive. Values are clamped and never refused, because telemetry must not stop the work.
 *
 * @throws FST_MC_INVALID_MISSION for a function or a symbol
 */
export function readProgress (input: ProgressInput, cuts: TextCuts): CheckedProgress | undefined {
  if (typeof input === 'object') return input === null ? undefined : readObject(input, cuts)
  if (typeof input === 'function' || typeof input === 'symbol') {
    throw new InvalidMission('progress must be a percentage, text or an object')
  }
  return typeof input === 'string' ? readFields({}, { status: input }, cuts) : readFields({}, { percent: input }, cuts)
}

function readObject (input: object, cuts: TextCuts): CheckedProgress | undefined {
  const fields = readOnce(input)
  const { taskId, index, total, status } = fields
  if (fields.percent !== undefined || fields.fraction !== undefined || !isCount(index) || !isCount(total) ||
    index > total || !isText(taskId, MAX_TASK_ID_CHARACTERS) || !isText(status, MAX_STATUS_CHARACTERS)) {
    return readFields(input, fields, cuts)
  }
  return { taskId, index, total, status, fraction: fractionOf(index, total, status), kind: 'position' }
}

function readOnce (input: Fields): Fields {
  try {
    const { taskId, index, total, status, percent, fraction } = input
    return { taskId, index, total, status, percent, fraction }
  } catch {
    // One of them throws: the others still count.
    return Object.fromEntries(FIELDS.map((name) => [name, readField(input, name)]))
  }
}

function readField (input: object, name: string): unknown {
  const value = readSafely(input, name)
  return value === UNSERIALIZABLE ? undefined : value
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0

const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= max

function readFields (input: object, fields: Fields, cuts: TextCuts): CheckedProgress | undefined {
  const first = <T>(name: keyof typeof SYNONYMS, read: (value: unknown) => T | undefined): T | undefined => {
    let value = read(fields[name])
    for (const other of SYNONYMS[name]) value ??= read(readField(input, other))
    return value
  }
  const status = first('status', (value) => readText(value, cuts))
  const numbers = readNumbers((name) => first(name, readNumber))
  const isOverall = fields.taskId === undefined || fields.taskId === null
  if (isOverall && status === undefined && isEmpty(numbers)) return undefined
  const counts = countsOf(numbers, status)
  const isShare = numbers.index === undefined && numbers.fraction !== undefined
  return {
    taskId: isOverall ? OVERALL : taskIdOf(fields.taskId, cuts),
    index: counts.index,
    total: counts.total,
    status: status ?? (counts.fraction === 1 ? 'completed' : 'running'),
    fraction: counts.fraction,
    kind: isOverall ? 'overall' : isShare ? 'share' : 'position'
  }
}

function readNumbers (read: (name: 'index' | 'total' | 'percent' | 'fraction') => number | undefined): Numbers {
  const index = read('index')
  const total = read('total')
  const percent = read('percent')
  const fraction = read('fraction') ?? (percent === undefined ? undefined : percent / WHOLE)
  return {
    index: index === undefined ? undefined : Math.max(0, index),
    total: total === undefined || total < 0 ? undefined : total,
    fraction: fraction === undefined ? undefined : Math.min(1, Math.max(0, fraction))
  }
}

function readText (value: unknown, cuts: TextCuts): string | undefined {
  const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
  return typeof text === 'string' && text !== '' ? cuts.cut('task_status', text, MAX_STATUS_CHARACTERS) : undefined
}

// Counts come out of Redis or a form as text, and out of a database as a BigInt.
function readNumber (value: unknown): number | undefined {
  const isNumber = typeof value === 'number' || typeof value === 'bigint' ||
    (typeof value === 'string' && value.length <= MAX_DIGITS && value.trim() !== '')
  return isNumber && Number.isFinite(Number(value)) ? Number(value) : undefined
}

const isEmpty = (numbers: Numbers): boolean => Object.values(numbers).every((value) => value === undefined)

/** The numbers of the wire, from numbers that may be fractional, negative or too high. */
function countsOf ({ index, total, fraction }: Numbers, status: string | undefined): Counts {
  if (index === undefined && fraction === undefined) return { index: 0, total: countOf(total, 0), fraction: NaN }
  if (index === undefined) {
    const parts = countOf(total, WHOLE)
    return { index: toCount(fraction! * parts - ROUNDING), total: parts, fraction: fraction! }
  }
  if (total === undefined) return { index: toCount(index), total: 0, fraction: fraction ?? (index === 0 ? 0 : NaN) }
  const highest = Math.max(index, total)
  const known = total === 0 ? NaN : fractionOf(index, highest, status)
  return { index: toCount(index), total: toCount(highest), fraction: fraction ?? known }
}

const countOf = (total: number | undefined, otherwise: number): number => total ? toCount(total) : otherwise

const toCount = (value: number): number => Math.min(Math.max(1, Math.ceil(value)), Number.MAX_SAFE_INTEGER)

// An item that has only started is not done yet.
const fractionOf = (index: number, total: number, status: string | undefined): number =>
  (status === 'started' ? Math.max(0, index - 1) : index) / total
