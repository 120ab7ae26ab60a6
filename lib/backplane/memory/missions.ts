import { isTerminal } from '../../../schemas/mission.js'
import type { MissionEntry, MissionLogStep, StoredMission, Verdict } from '../contract.js'
import { decide, ownerAfter } from '../lifecycle.js'
import type { EntryOffsets, HeadTable } from './heads.js'

const NO_OFFSETS: EntryOffsets = { offset: 0, tenantOffset: 0 }

export interface MissionTableDeps {
  heads: HeadTable
  /** Whether an instance is fenced or forgotten. */
  isGone: (instance: string) => boolean
}

/** All missions that the log knows, and the steps that they accept. */
export class MissionTable {
  readonly #heads: HeadTable
  readonly #isGone: (instance: string) => boolean
  readonly #missions = new Map<string, StoredMission>()

  constructor ({ heads, isGone }: MissionTableDeps) {
    this.#heads = heads
    this.#isGone = isGone
  }

  decide (step: MissionLogStep, instance: string): Verdict {
    return decide(this.#missions.get(step.id), step, instance, this.#isGone)
  }

  /** Applies a step that was decided to be applied, as the entry with this sequence. */
  apply (step: MissionLogStep, instance: string, sequence: number): MissionEntry {
    const known = this.#missions.get(step.id)
    const { id, attempt, status, durationMs, messageId, update, state } = step
    // A mission stays with its tenant, so that the counts and streams of both agree.
    const tenant = known === undefined ? step.tenant : known.tenant
    const isNew = known === undefined || attempt > known.attempt
    const offsets = step.isReliable && update !== ''
      ? this.#heads.add({ channel: 'mission_update', tenant, messageId })
      : NO_OFFSETS
    const { owner, isRun } = ownerAfter(known, step, instance, this.#isGone)
    const seq = (known?.seq ?? 0) + (update === '' ? 0 : 1)
    const startedAt = isNew ? sequence : known.startedAt
    const isReplacing = isNew && known !== undefined && !isTerminal(known.status)
    const told = { id, tenant, attempt, status, durationMs, messageId, update, state }
    const after = { sequence, ...offsets, seq, owner, isRun, startedAt, isNew, isReplacing }
    const entry: MissionEntry = { kind: 'mission', ...told, ...after }
    this.#missions.set(id, toStored(entry, known))
    return entry
  }

  /** Forgets a mission, unless it is active or has changed after the entry `sequence`. */
  remove (id: string, sequence: number): void {
    const known = this.#missions.get(id)
    if (known !== undefined && isTerminal(known.status) && known.sequence <= sequence) this.#missions.delete(id)
  }

  ids (): string[] {
    return [...this.#missions.keys()]
  }

  /** The missions with these ids that still exist. */
  read (ids: readonly string[]): StoredMission[] {
    return ids.flatMap((id) => this.#missions.get(id) ?? [])
  }
}

function toStored (entry: MissionEntry, known: StoredMission | undefined): StoredMission {
  const { id, tenant, attempt, status, seq, owner, isRun, startedAt, sequence } = entry
  return {
    id,
    tenant,
    attempt,
    status,
    seq,
    owner,
    isRun,
    startedAt,
    sequence,
    offset: entry.offset === 0 ? known?.offset ?? 0 : entry.offset,
    tenantOffset: entry.tenantOffset === 0 ? known?.tenantOffset ?? 0 : entry.tenantOffset,
    state: entry.state === '' ? known?.state ?? '' : entry.state
  }
}
