import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import { isTerminal, type MissionStatus } from '../../schemas/mission.js'
import type { Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Delivery, Publish } from '../hub/channel.js'
import type { EndedMissions, MissionState, UpdateSource } from '../missions/index.js'

/** What filters and checksums read of one message. */
interface MissionAttributes {
  missionId: string
  name: string
  tags: readonly string[] | undefined
  status: MissionStatus
  previousStatus: MissionStatus | undefined
}

/** The payload of an active mission in snapshots, and what tells whether the mission has changed since. */
interface KeptPayload { payload: MissionUpdate, seq: number, updatedAt: number, keptAt: number }

export interface MissionUpdateChannelDeps {
  clock: Clock
  updates: {
    /** Calls `listener` with every update. */
    onUpdate (listener: (update: MissionUpdate) => void): Unsubscribe
    /** Calls `listener` at every ending; without an update if nobody received updates at that time. */
    onEnded (listener: (mission: MissionState, update: MissionUpdate | undefined) => void): Unsubscribe
  }
  /** The active missions whose updates are not held back, oldest first; with `ids` only these. */
  visible: (ids?: readonly string[]) => MissionState[]
  /** Whether the mission with this id is active: the id of an ended mission may be used again. */
  isActive: (id: string) => boolean
  toSnapshot: (mission: MissionState) => MissionUpdate
  ended: EndedMissions
}

/**
 * `mission_update`: every step of every mission. Progress is replaceable by newer progress of the same mission; any
 * other step is reliable and supersedes the pending progress of its mission. Endings are kept even while nobody is
 * subscribed.
 */
export function createMissionUpdateChannel (deps: MissionUpdateChannelDeps): Channel<'mission_update'> {
  const { clock, updates, visible, isActive, toSnapshot, ended } = deps
  let publish: Publish<'mission_update'> | undefined
  let unsubscribe: Unsubscribe | undefined
  let kept = new WeakMap<MissionState, KeptPayload>()

  function payloadOf (mission: MissionState): MissionUpdate {
    const { seq, updatedAt } = mission
    const known = kept.get(mission)
    if (known !== undefined && isCurrent(known, mission)) return known.payload
    const payload = toSnapshot(mission)
    kept.set(mission, { payload, seq, updatedAt, keptAt: clock.now() })
    return payload
  }

  // Publishing the last update assigns its offset, which the kept ending must have too.
  updates.onEnded((mission, update) => {
    const offset = publish === undefined ? undefined : (update && publish(update)) ?? ended.lastOffset
    ended.put(mission, offset)
  })

  return {
    name: 'mission_update',
    delivery: (update) => ({ attributes: attributesOf(update), ...deliveryOf(update) }),
    start (publishUpdate, head) {
      ended.assignOffset(head)
      publish = publishUpdate
      unsubscribe = updates.onUpdate((update) => { if (!isTerminal(update.status)) publishUpdate(update) })
    },
    stop () {
      unsubscribe?.()
      publish = undefined
      kept = new WeakMap()
    },
    * snapshot (filter) {
      const fits = filter && matcherOf(filter)
      for (const mission of visible(filter?.missionIds)) {
        yield fits === undefined || fits(presentOf(mission)) ? payloadOf(mission) : undefined
      }
    },
    size: () => visible().length,
    forgetSnapshot () { kept = new WeakMap() },
    checksumEntries: (filter) => visible(filter?.missionIds).map(presentOf).filter(matcherOf(filter)),
    endings (range, upTo, filter) {
      const fits = matcherOf(filter)
      const isShown = (ending: UpdateSource) => !isActive(ending.id) && fits(endingOf(ending))
      if ('newest' in range) return ended.newest(range.newest, upTo, (id) => !isActive(id))
      return ended.between(range.after, upTo, isShown)
    },
    fits: (attributes, filter) => matcherOf(filter)(attributes as MissionAttributes),
    checksumEntry: (attributes) =>
      isTerminal((attributes as MissionAttributes).status) ? undefined : attributes as MissionAttributes
  }
}

// Not if it was kept in the millisecond of the last change: another change may have followed within it.
const isCurrent = ({ seq, updatedAt, keptAt }: KeptPayload, mission: MissionState): boolean =>
  mission.seq === seq && mission.updatedAt === updatedAt && keptAt > updatedAt

const attributesOf = ({ missionId, name, tags, status, previousStatus }: MissionUpdate): MissionAttributes =>
  ({ missionId, name, tags, status, previousStatus })

const deliveryOf = (update: MissionUpdate): Delivery =>
  isReplaceable(update) ? { key: update.missionId } : { supersedes: update.missionId }

const presentOf = ({ id, name, tags, status }: MissionState): MissionAttributes =>
  ({ missionId: id, name, tags, status, previousStatus: undefined })

const endingOf = ({ id, name, tags, status, statusBeforeEnd }: UpdateSource): MissionAttributes =>
  ({ missionId: id, name, tags, status, previousStatus: statusBeforeEnd })

const matchers = new WeakMap<SubscriptionFilter, (attributes: MissionAttributes) => boolean>()
const matchAll = (): boolean => true

/** The function that tells whether a message matches; created once per filter, because a snapshot calls it for all. */
function matcherOf (filter: SubscriptionFilter | undefined): (attributes: MissionAttributes) => boolean {
  if (filter === undefined) return matchAll
  const known = matchers.get(filter)
  if (known !== undefined) return known
  const setOf = (values: readonly string[] | undefined): ReadonlySet<string> | undefined => values && new Set(values)
  const ids = setOf(filter.missionIds)
  const names = setOf(filter.names)
  const wanted = setOf(filter.tags)
  const statuses = setOf(filter.statuses)
  const matches = ({ missionId, name, tags, status, previousStatus }: MissionAttributes): boolean =>
    (ids?.has(missionId) ?? true) &&
    (names?.has(name) ?? true) &&
    (wanted === undefined || tags?.some((tag) => wanted.has(tag)) === true) &&
    // A mission that leaves the requested statuses is sent once more.
    (statuses === undefined || statuses.has(status) || statuses.has(previousStatus!))
  matchers.set(filter, matches)
  return matches
}

/**
 * Whether a client may miss this field of a progress update, because the next one repeats it or because it never
 * changes. An update with any other field is reliable.
 */
const IS_REPEATED: Readonly<Record<keyof MissionUpdate, boolean>> = {
  missionId: true,
  status: true,
  name: true,
  seq: true,
  tags: true,
  tagsOmitted: true,
  attempt: true,
  endedAt: true,
  durationMs: true,
  progress: true,
  error: true,
  errorCode: true,
  errorCauses: true,
  waiting: true,
  snapshot: true,
  attempts: true,
  notes: true,
  previousStatus: false,
  // Only in the first update of an attempt, and when they change.
  parentId: false,
  objective: false,
  queuedAt: false,
  startedAt: false,
  note: false,
  cancel: false,
  stalled: false,
  metadata: false,
  planningSession: false,
  tasksSummary: false
}

const NOT_REPEATED = (Object.keys(IS_REPEATED) as Array<keyof MissionUpdate>).filter((name) => !IS_REPEATED[name])

function isReplaceable (update: MissionUpdate): boolean {
  for (const name of NOT_REPEATED) if (update[name] !== undefined) return false
  return update.status === 'execution_progress'
}
