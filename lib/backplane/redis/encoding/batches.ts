import type { LogBatch, LogEntry, PublicationEntry } from '../../contract.js'
import { decodeEntry } from './entries.js'

/** An entry of a stream, as Redis returns it. */
export type StreamEntry = readonly [id: string, fields: readonly string[]]

/** A batch, or a part of one that was too large for one entry of the stream. */
export interface BatchPart extends LogBatch {
  /** Whether the next entry of the stream continues the batch. */
  readonly hasMore: boolean
  /** How many entries were broken. Each is replaced by one that tells that messages are missing. */
  readonly broken: number
}

/** Format, epoch, token, previous token, sequence before, number, time, whether there is more, instance. */
const HEADER = /^1 ([^ ]+) ([^ ]+) ([^ ]+) (\d+) (\d+) (\d+) ([01]) (.+)$/s

/** A batch begins with two fields, for its header; each of its entries has four. */
const HEADER_FIELDS = 2
const ENTRY_FIELDS = 4

/** Returns the batch in an entry of the log, or `undefined` if this package has not written it. */
export function decodePart ([id, fields]: StreamEntry): BatchPart | undefined {
  const header = decodeHeader(fields)
  if (header === undefined) return undefined
  const count = Math.ceil((fields.length - HEADER_FIELDS) / ENTRY_FIELDS)
  // The scripts rely on the id, so that one that is wrong must not be in the log.
  if (id !== `${header.after + count}-0`) return undefined
  let broken = 0
  const entries = Array.from({ length: count }, (_, at) => {
    const sequence = header.after + 1 + at
    const entry = readEntry(fields, at, sequence, header.instance)
    if (entry === undefined) broken++
    return entry ?? createGap(sequence)
  })
  return { ...header, entries, broken }
}

/** Like `decodePart`, for an entry of the history, which names the sequences and lacks the entries that are broken. */
export function decodeHistoryPart ([, fields]: StreamEntry): BatchPart | undefined {
  const header = decodeHeader(fields)
  if (header === undefined) return undefined
  const count = Math.ceil((fields.length - HEADER_FIELDS) / ENTRY_FIELDS)
  const entries: LogEntry[] = []
  for (let at = 0; at < count; at++) {
    const [, sequence] = /^(\d+):/.exec(fields[HEADER_FIELDS + at * ENTRY_FIELDS]!) ?? []
    if (sequence === undefined) continue
    const entry = readEntry(fields, at, Number(sequence), header.instance, sequence.length + 1)
    if (entry !== undefined && entry.offset > 0) entries.push(entry)
  }
  return { ...header, entries, broken: count - entries.length }
}

function decodeHeader (fields: readonly string[]): Omit<BatchPart, 'entries' | 'broken'> | undefined {
  const header = fields[0] === 'b' ? HEADER.exec(fields[1]!) : null
  if (header === null) return undefined
  const [, epoch, token, previous, after, number, at, more, instance] = header as unknown as Required<string[]>
  return {
    epoch: epoch!,
    token: token!,
    previous: previous === '-' ? '' : previous!,
    after: Number(after),
    instance: instance!,
    number: Number(number),
    at: Number(at),
    hasMore: more === '1'
  }
}

/** Reads the entry with this index. The first `skipped` characters are not part of it. */
function readEntry (
  fields: readonly string[], index: number, sequence: number, instance: string, skipped = 0
): LogEntry | undefined {
  const from = HEADER_FIELDS + index * ENTRY_FIELDS
  const own = fields[from + 3]
  if (own === undefined) return undefined
  const values = { numbers: fields[from]!.slice(skipped), update: fields[from + 1]!, names: fields[from + 2]!, own }
  return decodeEntry(values, sequence, instance)
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
