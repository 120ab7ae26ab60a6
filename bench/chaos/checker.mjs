// Compares what was acknowledged with what is stored, and with what the clients were told.
import { readFileSync } from 'node:fs'
import { isTerminal } from './client-ledger.mjs'

/** The entries of all ledgers of the processes, each with the life that has written it. */
export function readLedgers (members) {
  return members.flatMap(({ lives }) => lives.flatMap((life) =>
    readFileSync(life.ledger, 'utf8').split('\n').filter(Boolean).map((line) => ({ ...JSON.parse(line), life }))))
}

/**
 * The endings that were acknowledged as stored and are not, and those that were decided twice. What Redis has lost with
 * the process that had reported it is `named` and not lost. `picture` is that of the log, by id.
 */
export function checkEndings (entries, picture, losses) {
  const decided = new Map()
  const result = { acknowledged: [], lost: [], twice: [], named: [], excused: new Set() }
  for (const entry of entries) {
    // The log may have had it, and clients too, before the process was told so.
    if (entry.kind === 'ended' && isExcused(entry, losses)) result.excused.add(entry.id)
    if (entry.kind !== 'settled') continue
    const { id, attempt, status, at } = entry
    result.acknowledged.push(at)
    const stored = picture.get(id)
    const isStored = stored !== undefined && (stored.attempt > attempt || stored.status === status)
    const key = `${id} ${attempt}`
    const known = decided.get(key)
    if (isStored && (known === undefined || known.status === status)) decided.set(key, entry)
    else if (isExcused(entry, losses)) {
      result.named.push(entry)
      result.excused.add(id)
    } else if (known !== undefined && known.status !== status) result.twice.push(entry)
    else result.lost.push(entry)
  }
  return result
}

// A process that lives on says again what Redis has lost.
const isExcused = ({ at, life }, losses) =>
  losses.some(({ from, to }) => at >= from && at <= to && life.to < to + RESTATE_MS)

const RESTATE_MS = 30_000

/** The endings of the picture, by id and attempt. `endedAt` is in ms of the machine's clock. */
export function endingsOf (picture, entries) {
  const settledAt = new Map()
  for (const { kind, id, at } of entries) if (kind === 'settled') settledAt.set(id, at)
  return [...picture]
    .filter(([, { status }]) => isTerminal(status))
    .map(([id, { attempt, status, endedAt }]) => [`${id} ${attempt}`, { status, endedAt: settledAt.get(id) ?? endedAt }])
}

/** The missions whose place in two pictures differs, as texts. */
export function comparePictures (one, other) {
  const found = []
  const format = (mission) => mission === undefined ? 'unknown' : `${mission.status} ${mission.attempt} ${mission.seq}`
  for (const id of new Set([...one.keys(), ...other.keys()])) {
    const [mine, theirs] = [format(one.get(id)), format(other.get(id))]
    if (mine !== theirs) found.push(`${id}: ${mine}, in the log ${theirs}`)
  }
  return found
}
