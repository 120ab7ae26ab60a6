import type {
  LogBatch, LogEntry, SharedLogPosition, MissionEntry, StoredHead, StoredMission
} from '../../backplane/contract.js'
import type { Clock } from '../../base/clock.js'
import { isTerminal } from '../../../schemas/mission.js'
import { SharedMission } from '../../missions/index.js'
import { ActiveMissions } from './active-missions.js'
import { EndedShared, type EndedSharedDeps } from './ended-shared.js'
import { RecentEntries, channelOf, type RecentEntriesOptions } from './recent-entries.js'
import { SharedCounts } from './shared-counts.js'

/** What one entry of the log has changed. */
export interface PictureChange {
  readonly entry: LogEntry
  readonly at: number
  /** Only for an entry of a mission. */
  readonly mission?: SharedMission
  /** The attempt whose place it has taken. */
  readonly replaced?: SharedMission | undefined
}

export interface PictureDeps extends Pick<EndedSharedDeps, 'options' | 'deadlines' | 'endedIds'> {
  clock: Clock
  history: RecentEntriesOptions
  /** Whether tenants do not see the id of an unknown parent, because it may belong to another tenant. */
  hidesUnknownParents: boolean
}

/** What a process loads of the log before it follows the log. */
export interface LoadedPicture {
  readonly position: SharedLogPosition
  /** By id, as `create` returns them. They belong to the picture from then on. */
  readonly missions: Map<string, SharedMission>
  readonly history: readonly LogBatch[]
  readonly counts: Parameters<SharedCounts['load']>[0]
  readonly heads: readonly StoredHead[]
  readonly retained: ReadonlyArray<readonly [key: string, value: string]>
}

const NO_HEAD = Object.freeze({ offset: 0, id: '' })

/**
 * All missions of the service as the shared log knows them. The same entries make the same picture in every process.
 */
export class Picture {
  readonly active = new ActiveMissions()
  readonly counts = new SharedCounts()
  readonly recent: RecentEntries
  readonly ended: EndedShared
  /** The retained values of the log. */
  readonly retained = new Map<string, string>()
  position: SharedLogPosition = { epoch: '', sequence: 0, token: '' }
  /** By id, in the order of their start. */
  #missions = new Map<string, SharedMission>()
  readonly #stalled = new Set<SharedMission>()
  readonly #heads = new Map<string, { offset: number, id: string }>()
  // As `Lineage` decides it for the missions of this process.
  readonly #showsParent = (parentId: string, tenant: string | null): boolean => {
    const parent = this.#missions.get(parentId)
    return parent === undefined ? tenant === null || !this.#hidesUnknown : parent.tenant === tenant
  }

  readonly #hidesUnknown: boolean

  constructor (deps: PictureDeps) {
    this.#hidesUnknown = deps.hidesUnknownParents
    const { clock, history } = deps
    this.recent = new RecentEntries(clock, history)
    this.ended = new EndedShared({ ...deps, forget: (mission) => this.#forget(mission) })
  }

  find (id: string): SharedMission | undefined { return this.#missions.get(id) }

  /** The missions that are active or can still be looked up, oldest first. */
  * listed (): Generator<SharedMission, void, undefined> {
    for (const mission of this.#missions.values()) if (this.ended.isListed(mission)) yield mission
  }

  /** The last reliable message of a channel: for operators, or for a tenant. */
  head (channel: string, tenant: string | undefined): { readonly offset: number, readonly id: string } {
    return this.#heads.get(headKey(channel, tenant ?? null)) ?? NO_HEAD
  }

  /** A mission of this picture. */
  create (stored: StoredMission): SharedMission { return new SharedMission(stored, this.#showsParent) }

  /** All missions that are known now, also if others are loaded meanwhile. */
  all (): Iterable<SharedMission> { return this.#missions.values() }

  /** Begins anew. */
  load (loaded: LoadedPicture): void {
    this.#missions = inOrder(loaded.missions)
    this.active.clear()
    this.ended.clear()
    this.#stalled.clear()
    this.#heads.clear()
    this.retained.clear()
    this.position = loaded.position
    this.counts.load(loaded.counts)
    this.recent.load(loaded.history, loaded.position.sequence)
    for (const [key, value] of loaded.retained) this.retained.set(key, value)
    for (const { channel, tenant, offset, messageId } of loaded.heads) {
      this.#heads.set(headKey(channel, tenant), { offset, id: messageId })
    }
    for (const mission of this.#missions.values()) this.#keep(mission)
    for (const mission of this.readEnded()) this.ended.put(mission)
  }

  /** The ended missions, in the order of their endings. */
  readEnded (): SharedMission[] {
    return [...this.#missions.values()].filter((mission) => mission.isTerminal).sort((a, b) => a.sequence - b.sequence)
  }

  /** Takes over the entries of the next batch. Those that a loaded mission contains already change only counts. */
  apply ({ entries, at, epoch, token }: LogBatch): PictureChange[] {
    const changes = entries.map((entry) => {
      this.recent.put(entry, at)
      this.#advanceHeads(entry)
      if (entry.kind === 'mission') {
        const known = this.#missions.get(entry.id)
        const mission = this.#applyMission(entry)
        return { entry, at, mission, replaced: known === mission ? undefined : known }
      }
      if (entry.retain !== undefined) this.retained.set(entry.retain.key, entry.retain.value)
      return { entry, at }
    })
    this.position = { epoch, sequence: entries.at(-1)!.sequence, token }
    return changes
  }

  #applyMission (entry: MissionEntry): SharedMission {
    const { id, attempt, tenant, status, durationMs, isNew, isReplacing, sequence, state } = entry
    const known = this.#missions.get(id)
    if (isReplacing) this.counts.replaced(known?.tenant ?? tenant)
    if (isNew) this.counts.started(tenant)
    if (isTerminal(status)) this.counts.ended(tenant, status, durationMs)
    if (known !== undefined && known.sequence >= sequence) return known
    if (known?.attempt !== attempt) return this.#replace(known, this.create(entry))
    this.#stall(known, -1)
    const isMoved = entry.owner !== known.owner || isTerminal(status)
    if (isMoved) this.active.left(known)
    known.change(entry, state)
    if (isMoved && !known.isTerminal) this.active.joined(known)
    this.#stall(known, 1)
    if (known.isTerminal) this.ended.put(known)
    return known
  }

  #replace (known: SharedMission | undefined, mission: SharedMission): SharedMission {
    if (known !== undefined) this.#remove(known)
    this.#add(mission)
    if (mission.isTerminal) this.ended.put(mission)
    return mission
  }

  #add (mission: SharedMission): void {
    this.#missions.set(mission.id, mission)
    this.#keep(mission)
  }

  #keep (mission: SharedMission): void {
    if (mission.isTerminal) return
    this.active.joined(mission)
    this.#stall(mission, 1)
  }

  #stall (mission: SharedMission, change: 1 | -1): void {
    const isStalled = change === 1 ? mission.isStalled : this.#stalled.delete(mission)
    if (!isStalled) return
    if (change === 1) this.#stalled.add(mission)
    this.counts.stalled(mission.tenant, change)
  }

  #remove (mission: SharedMission): void {
    this.#missions.delete(mission.id)
    if (!mission.isTerminal) this.#stall(mission, -1)
    this.active.left(mission)
    this.ended.drop(mission)
  }

  #forget (mission: SharedMission): void {
    if (this.#missions.get(mission.id) === mission) this.#missions.delete(mission.id)
  }

  #advanceHeads (entry: LogEntry): void {
    if (entry.offset === 0) return
    const { offset, tenantOffset, tenant, messageId: id } = entry
    const channel = channelOf(entry)
    this.#heads.set(headKey(channel, null), { offset, id })
    if (tenant !== null) this.#heads.set(headKey(channel, tenant), { offset: tenantOffset, id })
  }
}

// Logs return them in this order, unless one has begun again.
function inOrder (missions: Map<string, SharedMission>): Map<string, SharedMission> {
  let last = 0
  for (const { number } of missions.values()) {
    if (number < last) return new Map([...missions].sort(([, a], [, b]) => a.number - b.number))
    last = number
  }
  return missions
}

const headKey = (channel: string, tenant: string | null): string => tenant === null ? channel : `${channel} ${tenant}`
