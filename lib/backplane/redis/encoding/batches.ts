import type { LogBatch, LogEntry, PublicationEntry } from '../../contract.js'
import { decodeEntry, type EntryFields } from './entries.js'

/** An entry of a stream, as Redis returns it. */
export type StreamEntry = readonly [id: string, fields: readonly string[]]

/** A batch, or a part of one that was too large for one entry of the stream. */
export interface BatchPart extends LogBatch {
  /** Whether the next entry of the stream continues the batch. */
  readonly hasMore: boolean
  /** How many entries were broken. Each is replaced by one that tells that messages are missing. */
  readonly broken: number
}

const HEADER = /^1 (\S+) (\S+) (\S+) (\d+) (\d+) (\d+) ([01]) (.+)$/s

/** How many fields an entry has in a stream. The header of the batch comes before them, as a name and a value. */
const ENTRY_FIELDS = 4

/** Returns what an entry of a stream contains, or `undefined` if this package has not written it. */
export function decodePart (fields: readonly string[]): BatchPart | undefined {
  const header = fields[0] === 'b' ? HEADER.exec(fields[1] ?? '') : null
  if (header === null) return undefined
  const [, epoch, token, previous, after, number, at, more, instance] = header as unknown as string[]
  const start = Number(after)
  const entries: LogEntry[] = []
  let broken = 0
  for (let from = 2; from < fields.length; from += ENTRY_FIELDS) {
    const [sequence, values] = readFields(fields, from, start + 1 + entries.length)
    const entry = values === undefined ? undefined : decodeEntry(values, sequence, instance!)
    if (entry === undefined) broken++
    entries.push(entry ?? createGap(sequence))
  }
  return {
    epoch: epoch!,
    token: token!,
    previous: previous === '-' ? '' : previous!,
    after: start,
    instance: instance!,
    number: Number(number),
    at: Number(at),
    entries,
    hasMore: more === '1',
    broken
  }
}

/** The fields of an entry, and its sequence: in a history, it is part of the first field. */
function readFields (
  fields: readonly string[], from: number, sequence: number
): [sequence: number, values: EntryFields | undefined] {
  const [first, update, names, own] = fields.slice(from, from + ENTRY_FIELDS)
  if (own === undefined) return [sequence, undefined]
  const colon = first!.indexOf(':')
  const values = { numbers: first!.slice(colon + 1), update: update!, names: names!, own }
  return [colon < 0 ? sequence : Number(first!.slice(0, colon)), values]
}

/** Tells clients that they have missed an update. Without an entry, the sequences of the next ones would be wrong. */
const createGap = (sequence: number): PublicationEntry => ({
  kind: 'publication',
  channel: 'mission_update',
  tenant: null,
  messageId: '',
  update: '',
  retain: undefined,
  sequence,
  offset: 0,
  tenantOffset: 0
})
