import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import { isTerminal, type MissionStatus } from '../../schemas/mission.js'
import type { Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Delivery } from '../hub/channel.js'
import type { EndedMissions, MissionState } from '../missions/index.js'

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
  /** Calls `listener` with every update. */
  onUpdate: (listener: (update: MissionUpdate) => void) => Unsubscribe
  /** The active missions whose updates are not held back, oldest first. */
  visible: () => MissionState[]
  /** Whether the mission with this id is active: the id of an ended mission may be used again. */
  isActive: (id: string) => boolean
  toSnapshot: (mission: MissionState) => MissionUpdate
  /** The endings, which it publishes itself: publishing assigns the offset that the kept ending has too. */
  ended: EndedMissions
}

/**
 * `mission_update`: every step of every mission. Progress is replaceable by newer progress of the same mission; any
 * other step is reliable and supersedes the pending progress of its mission. Endings are kept even while nobody is
 * subscribed.
 */
export function createMissionUpdateChannel (deps: MissionUpdateChannelDeps): Channel<'mission_update'> {
  const { clock, onUpdate, visible, isActive, toSnapshot, ended } = deps
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

  return {
    name: 'mission_update',
    delivery: (update) => ({ attributes: attributesOf(update), ...deliveryOf(update) }),
    start (publish, head) {
      ended.connect(publish, head)
      unsubscribe = onUpdate((update) => { if (!isTerminal(update.status)) publish(update) })
    },
    stop () {
      unsubscribe?.()
      ended.disconnect()
      kept = new WeakMap()
    },
    snapshot: () => visible().map(payloadOf),
    forgetSnapshot () { kept = new WeakMap() },
    checksumEntries: () => visible().map(({ id, name, tags, status }): MissionAttributes =>
      ({ missionId: id, name, tags, status, previousStatus: undefined })),
    endings (range, upTo) {
      if ('newest' in range) return ended.newest(range.newest, upTo, (id) => !isActive(id))
      return ended.between(range.after, upTo).filter(({ missionId }) => !isActive(missionId))
    },
    fits: (attributes, filter) => matches(attributes as MissionAttributes, filter),
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

function matches (attributes: MissionAttributes, filter: SubscriptionFilter): boolean {
  const { missionId, name, tags, status, previousStatus } = attributes
  return (filter.missionIds?.includes(missionId) ?? true) &&
    (filter.names?.includes(name) ?? true) &&
    (filter.tags?.some((tag) => tags?.includes(tag)) ?? true) &&
    // A mission that leaves the requested statuses is sent once more.
    (filter.statuses?.some((requested) => requested === status || requested === previousStatus) ?? true)
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
