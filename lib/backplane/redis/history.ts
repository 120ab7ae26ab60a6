import type { LogBatch } from '../contract.js'
import { decodePart, type BatchPart, type StreamEntry } from './encoding/batches.js'

/**
 * Joins the entries of all shards to batches, oldest first. `onBroken` is called with the number of entries that were
 * dropped.
 */
export function readHistory (entries: readonly StreamEntry[], onBroken: (count: number) => void): LogBatch[] {
  const groups = new Map<string, BatchPart[]>()
  let broken = 0
  for (const [, fields] of entries) {
    const part = decodePart(fields)
    broken += part?.broken ?? 1
    if (part === undefined) continue
    const group = groups.get(part.token)
    if (group === undefined) groups.set(part.token, [part])
    else group.push(part)
  }
  if (broken > 0) onBroken(broken)
  return Array.from(groups.values(), joinGroup).sort((a, b) => a.after - b.after)
}

function joinGroup (parts: readonly BatchPart[]): LogBatch {
  const { hasMore, broken, ...batch } = parts[0]!
  // Replacements of broken entries have no offset.
  const entries = parts.flatMap((part) => part.entries).filter(({ offset }) => offset > 0)
  return { ...batch, entries: entries.sort((a, b) => a.sequence - b.sequence) }
}
