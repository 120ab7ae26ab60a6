import { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import { isTerminal } from '../../../schemas/mission.js'
import type { LogEntry, MissionEntry } from '../../backplane/contract.js'
import { Events, type Unsubscribe } from '../../base/events.js'
import { compile } from '../../base/validation.js'
import type {
  Endings, FeedOrigin, ListedMission, MissionFeed, SharedMission, UpdatePlace
} from '../../missions/index.js'
import { OwnUpdates } from './own-updates.js'
import type { Picture, PictureChange } from './picture.js'
import { offsetIn } from './recent-entries.js'

type Listener = (update: MissionUpdate, mission: ListedMission, place?: UpdatePlace) => void

export interface PictureFeedDeps {
  picture: Picture
  endings: Endings
  onListenerError: (err: unknown) => void
  /** Called with entries whose update is broken. */
  onBroken: () => void
}

type FeedEvents = { update: Parameters<Listener> }

const CHANNEL = 'mission_update'
const isMissionUpdate = compile(MissionUpdate)

/** What clients receive of the missions of all processes, in the order of the log. */
export class PictureFeed implements MissionFeed {
  /** What this process has sent to the log itself. */
  readonly own = new OwnUpdates()
  readonly #deps: PictureFeedDeps
  readonly #operators: Events<FeedEvents>
  readonly #tenants = new Map<string, Events<FeedEvents>>()

  constructor (deps: PictureFeedDeps) {
    this.#deps = deps
    this.#operators = new Events(deps.onListenerError)
  }

  onUpdate (listener: Listener, tenant?: string): Unsubscribe {
    if (tenant === undefined) return this.#operators.on('update', listener)
    const events = this.#tenants.get(tenant) ?? new Events<FeedEvents>(this.#deps.onListenerError)
    this.#tenants.set(tenant, events)
    const unsubscribe = events.on('update', listener)
    return () => {
      unsubscribe()
      if (events.count('update') === 0 && this.#tenants.get(tenant) === events) this.#tenants.delete(tenant)
    }
  }

  visible (tenant?: string, ids?: readonly string[]): ListedMission[] {
    const { picture } = this.#deps
    if (ids === undefined) return [...picture.active.of(tenant)]
    return [...new Set(ids)].flatMap((id) => {
      const mission = this.find(tenant, id)
      return mission === undefined || mission.isTerminal ? [] : mission
    })
  }

  find (tenant: string | undefined, id: string): SharedMission | undefined {
    const mission = this.#deps.picture.find(id)
    return tenant === undefined || mission?.tenant === tenant ? mission : undefined
  }

  origin (tenant: string | undefined): FeedOrigin {
    const { picture, onBroken } = this.#deps
    const recent: Array<FeedOrigin['recent'][number]> = []
    for (const { entry, at } of picture.recent.of(CHANNEL, tenant)) {
      const read = readUpdate(entry)
      if (read !== undefined) recent.push(showTo(tenant, entry, at, read))
      else {
        // A message without content would be a hole.
        onBroken()
        recent.length = 0
      }
    }
    return { head: picture.head(CHANNEL, tenant), recent }
  }

  /** Keeps the endings that the log has stored, oldest first. */
  load (ended: readonly SharedMission[]): void {
    const { endings } = this.#deps
    // What was refused or lost is never read back.
    this.own.clear()
    endings.clear()
    for (const mission of ended) {
      const place = (offset: number) => ({ id: '', at: 0, offset })
      endings.put(mission, undefined, { operators: place(mission.offset), tenant: place(mission.tenantOffset) })
    }
  }

  /** Publishes what a batch has changed. */
  publish (changes: readonly PictureChange[]): void {
    for (const { entry, mission, at } of changes) {
      if (entry.kind === 'mission' && mission !== undefined && entry.update !== '') this.#publish(entry, mission, at)
    }
  }

  #publish (entry: MissionEntry, mission: SharedMission, at: number): void {
    const { endings, onBroken } = this.#deps
    const { tenant } = entry
    const isEnding = isTerminal(entry.status)
    const tenantEvents = tenant === null ? undefined : this.#tenants.get(tenant)
    const sent = this.own.take(entry.messageId, entry.update)
    if (!isEnding && this.#operators.count('update') === 0 && tenantEvents === undefined) return
    const read = sent?.seq === entry.seq ? { update: sent, text: entry.update } : readUpdate(entry)
    if (read === undefined) return onBroken()
    const operators = showTo(undefined, entry, at, read)
    const others = tenant === null ? operators : showTo(tenant, entry, at, read)
    this.#operators.emit('update', operators.update, mission, operators.place)
    tenantEvents?.emit('update', others.update, mission, others.place)
    if (isEnding) endings.put(mission, read.update, { operators: operators.place, tenant: others.place })
  }
}

interface ReadUpdate { readonly update: MissionUpdate, readonly text: string | undefined }

/**
 * The update of an entry that another process has written; `undefined` if it is broken. `text` is its JSON, if the
 * entry has exactly it.
 */
function readUpdate (entry: LogEntry): ReadUpdate | undefined {
  try {
    const { update: text } = entry
    const update: unknown = JSON.parse(text)
    if (!isMissionUpdate(update)) return undefined
    if (entry.kind === 'publication') return { update, text }
    const { id, status, seq } = entry
    if (update.missionId !== id || update.status !== status) return undefined
    if (update.seq === seq) return { update, text }
    update.seq = seq
    return { update, text: undefined }
  } catch {
    return undefined
  }
}

/** An update as operators see it, or the clients of a tenant, who do not see the processes. */
function showTo (tenant: string | undefined, entry: LogEntry, at: number, { update, text }: ReadUpdate) {
  const offset = offsetIn(entry, tenant)
  const place = { id: entry.messageId, at, offset: offset === 0 ? undefined : offset }
  const isNamed = tenant === undefined && entry.kind === 'mission' && update.startedAt !== undefined
  return isNamed
    ? { update: { ...update, instance: entry.owner }, place }
    : { update, place: { ...place, text } }
}
