import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import { isTerminal } from '../../schemas/mission.js'
import type { Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Delivery } from '../hub/channel.js'
import type { EndedMission, EndedMissions, MissionState } from '../missions/index.js'
import { createMatchers, createSubjects, endingOf, type MissionAttributes, type Sees } from './mission-filter.js'

/** The payload of an active mission in snapshots, and what tells whether the mission has changed since. */
interface KeptPayload { payload: MissionUpdate, seq: number, updatedAt: number, keptAt: number }

export interface MissionUpdateChannelDeps {
  clock: Clock
  /** Calls `listener` with every update. */
  onUpdate: (listener: (update: MissionUpdate, mission: MissionState) => void) => Unsubscribe
  /** The active missions whose updates are not held back, oldest first; with `ids` only these. */
  visible: (ids?: readonly string[]) => MissionState[]
  /** Whether the mission with this id is active: the id of an ended mission may be used again. */
  isActive: (id: string) => boolean
  toSnapshot: (mission: MissionState) => MissionUpdate
  /** The endings, which it publishes itself: publishing assigns the offset that the kept ending has too. */
  endings: () => EndedMissions
  /** Whether a viewer may see a mission; only if the host decides that for each one. */
  sees?: Sees | undefined
  /** The tenant that the channel belongs to, if it is one. */
  tenant?: string | undefined
}

/**
 * `mission_update`: every step of every mission. Progress is replaceable by newer progress of the same mission; any
 * other step is reliable and supersedes the pending progress of its mission. Endings are kept even while nobody is
 * subscribed.
 */
export function createMissionUpdateChannel (deps: MissionUpdateChannelDeps): Channel<'mission_update'> {
  const { clock, onUpdate, visible, isActive, toSnapshot, endings, sees, tenant } = deps
  const matcherOf = createMatchers(sees)
  const { about, attributesOf, presentOf } = createSubjects(sees, tenant)
  let unsubscribe: Unsubscribe | undefined
  let kept = new WeakMap<MissionState, KeptPayload>()

  function payloadOf (mission: MissionState): MissionUpdate {
    const { seq, updatedAt } = mission
    const known = kept.get(mission)
    if (known !== undefined && isCurrent(known, mission)) return known.payload
    const payload = about(mission, toSnapshot(mission))
    kept.set(mission, { payload, seq, updatedAt, keptAt: clock.now() })
    return payload
  }

  return {
    name: 'mission_update',
    delivery: (update) => ({ attributes: attributesOf(update), ...deliveryOf(update) }),
    start (publish, head) {
      endings().connect((update, mission) => publish(about(mission, update)), head)
      unsubscribe = onUpdate((update, mission) => {
        if (!isTerminal(update.status)) publish(about(mission, update))
      })
    },
    stop () {
      unsubscribe?.()
      endings().disconnect()
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
      const isShown = (ending: EndedMission) => !isActive(ending.id) && fits(endingOf(ending))
      const isSeen = ({ id, subject }: EndedMission) =>
        !isActive(id) && (sees === undefined || filter?.viewer === undefined || sees(filter.viewer, subject!))
      const shown = 'newest' in range
        ? endings().newest(range.newest, upTo, isSeen)
        : endings().between(range.after, upTo, isShown)
      return shown.map((ending) => about(ending, ending.update))
    },
    fits: (attributes, filter) => matcherOf(filter)(attributes as MissionAttributes),
    checksumEntry: (attributes) =>
      isTerminal((attributes as MissionAttributes).status) ? undefined : attributes as MissionAttributes
  }
}

// Not if it was kept in the millisecond of the last change: another change may have followed within it.
const isCurrent = ({ seq, updatedAt, keptAt }: KeptPayload, mission: MissionState): boolean =>
  mission.seq === seq && mission.updatedAt === updatedAt && keptAt > updatedAt

const deliveryOf = (update: MissionUpdate): Delivery =>
  isReplaceable(update) ? { key: update.missionId } : { supersedes: update.missionId }

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
