import type { LogBatch } from '../contract.js'
import { decodeHistoryPart, type BatchPart, type StreamEntry } from './encoding/batches.js'

/**
 * Joins the entries of all shards to batches, oldest first. `onBroken` is called with the number of entries that were
 * dropped.
 */
export function readHistory (entries: readonly StreamEntry[], onBroken: (count: number) => void): LogBatch[] {
  const groups = new Map<string, BatchPart[]>()
  let broken = 0
  for (const one of entries) {
    const part = decodeHistoryPart(one)
    broken += part?.broken ?? 1
    if (part === undefined || part.entries.length === 0) continue
    const group = groups.get(part.token)
    if (group === undefined) groups.set(part.token, [part])
    else group.push(part)
  }
  if (broken > 0) onBroken(broken)
  return Array.from(groups.values(), joinGroup).sort((a, b) => a.after - b.after)
}

function joinGroup (parts: readonly BatchPart[]): LogBatch {
  const { hasMore, broken, ...batch } = parts[0]!
  const entries = parts.flatMap((part) => part.entries).sort((a, b) => a.sequence - b.sequence)
  return { ...batch, entries }
}
