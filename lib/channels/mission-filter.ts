import type { MissionSubject } from '../../schemas/access.js'
import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { MissionStatus } from '../../schemas/mission.js'
import type { Selection } from '../hub/channel.js'
import type { EndedMission, ListedMission } from '../missions/index.js'

/** What filters and checksums read of one message. */
export interface MissionAttributes {
  missionId: string
  name: string
  tags: readonly string[] | undefined
  status: MissionStatus
  previousStatus: MissionStatus | undefined
  /** Only if the host decides who may see a mission. */
  subject: MissionSubject | undefined
}

type Matcher = (attributes: MissionAttributes) => boolean

/** Whether a viewer may see a mission. */
export type Sees = (viewer: NonNullable<Selection['viewer']>, mission: MissionSubject) => boolean

const matchAll: Matcher = () => true

/**
 * Returns a function that returns the matcher of what a subscriber selects. It is created once for each selection,
 * because a snapshot calls it for all missions.
 */
export function createMatchers (sees: Sees | undefined): (selection: Selection | undefined) => Matcher {
  const matchers = new WeakMap<Selection, Matcher>()
  return (selection) => {
    if (selection === undefined) return matchAll
    const matcher = matchers.get(selection) ?? createMatcher(selection, sees)
    matchers.set(selection, matcher)
    return matcher
  }
}

function createMatcher ({ viewer, missionIds, names, tags, statuses }: Selection, sees: Sees | undefined): Matcher {
  const ids = setOf(missionIds)
  const wantedNames = setOf(names)
  const wantedTags = setOf(tags)
  const wantedStatuses = setOf(statuses)
  return ({ missionId, name, tags, status, previousStatus, subject }) =>
    (ids?.has(missionId) ?? true) &&
    (wantedNames?.has(name) ?? true) &&
    (wantedTags === undefined || tags?.some((tag) => wantedTags.has(tag)) === true) &&
    // A mission that leaves the requested statuses is sent once more.
    (wantedStatuses === undefined || wantedStatuses.has(status) || wantedStatuses.has(previousStatus!)) &&
    // Last, because it calls the host.
    (viewer === undefined || sees === undefined || sees(viewer, subject!))
}

const setOf = (values: readonly string[] | undefined): ReadonlySet<string> | undefined => values && new Set(values)

/**
 * Notes of each payload what the host decides by who may see it, if the host does. A mission creates that when it is
 * first read.
 */
export function createSubjects (sees: Sees | undefined, tenant: string | undefined) {
  const subjects = new WeakMap<MissionUpdate, MissionSubject>()
  return {
    /** Notes that an update is about this mission. */
    about (mission: ListedMission | EndedMission, update: MissionUpdate): MissionUpdate {
      if (sees !== undefined) subjects.set(update, mission.subject!)
      return update
    },
    attributesOf (update: MissionUpdate): MissionAttributes {
      const { missionId, name, tags, status, previousStatus } = update
      const subject = sees && (subjects.get(update) ?? describeUnknown(update, tenant))
      return { missionId, name, tags, status, previousStatus, subject }
    },
    presentOf (mission: ListedMission): MissionAttributes {
      const { id, name, tags, status } = mission
      return { missionId: id, name, tags, status, previousStatus: undefined, subject: sees && mission.subject }
    }
  }
}

export const endingOf = ({ id, name, tags, status, statusBeforeEnd, subject }: EndedMission): MissionAttributes =>
  ({ missionId: id, name, tags, status, previousStatus: statusBeforeEnd, subject })

// The host may publish an update of a mission that is not tracked here.
const describeUnknown = (update: MissionUpdate, tenant: string | undefined): MissionSubject => {
  const { missionId: id, name, tags = [], metadata = null } = update
  return { id, name, tenant: tenant ?? null, tags, metadata }
}
