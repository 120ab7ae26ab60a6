import { MISSION_STATUSES } from '../../../../schemas/mission.js'
import type { LogEntry, MissionEntry, PublicationEntry } from '../../contract.js'
import { PUBLICATION_MARK } from './steps.js'

/** A text of an entry above this is broken: nothing in this package writes one. */
const MAX_CHARACTERS = 1_048_576

/** The four fields of an entry in a stream. */
export interface EntryFields {
  readonly numbers: string
  readonly update: string
  readonly names: string
  readonly own: string
}

/** The numbers of an entry: those that the script has added, then the head of the step. */
interface Numbers {
  readonly seq: number
  readonly startedAt: number
  readonly offset: number
  readonly tenantOffset: number
  readonly marks: number
  readonly kind: string
  readonly status: number
  readonly stepMarks: number
  readonly attempt: number
  readonly durationMs: number
  readonly lengths: readonly [tenant: number, messageId: number, id: number]
}

/** Returns an entry, or `undefined` if it is broken. `instance` has appended it. */
export function decodeEntry (fields: EntryFields, sequence: number, instance: string): LogEntry | undefined {
  const { update, own, names } = fields
  const numbers = readNumbers(fields.numbers)
  if (numbers === undefined || Math.max(update.length, own.length, names.length) > MAX_CHARACTERS) return undefined
  const [tenantLength, messageLength, idLength] = numbers.lengths
  const tenantEnd = Math.max(tenantLength, 0)
  const messageEnd = tenantEnd + messageLength
  const idEnd = messageEnd + idLength
  if (idEnd > names.length) return undefined
  const named = {
    tenant: tenantLength < 0 ? null : names.slice(0, tenantEnd),
    messageId: names.slice(tenantEnd, messageEnd),
    id: names.slice(messageEnd, idEnd),
    rest: names.slice(idEnd)
  }
  return numbers.kind === 'm'
    ? toMission(numbers, named, fields, { sequence, instance })
    : toPublication(numbers, named, fields, sequence)
}

/** The text names of an entry. `rest` is the owner of a mission, or the key of a retained value. */
interface Names {
  readonly tenant: string | null
  readonly messageId: string
  readonly id: string
  readonly rest: string
}

function toMission (
  numbers: Numbers, { tenant, messageId, id, rest }: Names, fields: EntryFields,
  at: { sequence: number, instance: string }
): MissionEntry | undefined {
  const { seq, startedAt, offset, tenantOffset, marks, attempt, durationMs } = numbers
  const status = MISSION_STATUSES[numbers.status]
  if (status === undefined || id === '') return undefined
  return {
    kind: 'mission',
    tenant,
    messageId,
    id,
    attempt,
    status,
    durationMs,
    update: fields.update,
    state: fields.own,
    sequence: at.sequence,
    offset,
    tenantOffset,
    seq,
    owner: rest === '' ? at.instance : rest,
    isRun: (marks & 1) !== 0,
    startedAt,
    isNew: (marks & 2) !== 0,
    isReplacing: (marks & 4) !== 0
  }
}

function toPublication (numbers: Numbers, names: Names, fields: EntryFields, sequence: number): PublicationEntry {
  const { offset, tenantOffset, stepMarks } = numbers
  const { tenant, messageId, id: channel, rest: key } = names
  const retain = (stepMarks & PUBLICATION_MARK.retains) === 0 ? undefined : { key, value: fields.own }
  return {
    kind: 'publication', channel, tenant, messageId, update: fields.update, retain, sequence, offset, tenantOffset
  }
}

/** Reads `seq,startedAt,offset,tenantOffset,marks,head,duration,lengths`. The head begins with three characters. */
function readNumbers (text: string): Numbers | undefined {
  const parts = text.split(',')
  const head = parts[5] ?? ''
  const kind = head[0]!
  const [seq, startedAt, offset, tenantOffset, marks] = [toCount(parts[0]), toCount(parts[1]), toCount(parts[2]),
    toCount(parts[3]), toCount(parts[4])]
  const attempt = toCount(head.slice(3))
  const durationMs = Number(parts[6])
  const [tenant, messageId, id] = [Number(parts[7]), toCount(parts[8]), toCount(parts[9])]
  const sum = seq + startedAt + offset + tenantOffset + marks + attempt + durationMs + messageId + id
  if ((kind !== 'm' && kind !== 'p') || !Number.isFinite(sum) || !Number.isInteger(tenant)) return undefined
  const [status, stepMarks] = [head.charCodeAt(1) - 48, head.charCodeAt(2) - 48]
  const lengths = [tenant, messageId, id] as const
  return { seq, startedAt, offset, tenantOffset, marks, kind, status, stepMarks, attempt, durationMs, lengths }
}

/** A number that is not negative; `NaN` for everything else. */
function toCount (text: string | undefined): number {
  const value = text === undefined || text === '' ? NaN : Number(text)
  return Number.isSafeInteger(value) && value >= 0 ? value : NaN
}
