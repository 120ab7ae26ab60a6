import type { MissionUpdate } from '../../schemas/channels/mission-update.js'
import type { SubscriptionFilter } from '../../schemas/filter.js'
import { TERMINAL_STATUSES, type MissionStatus, type MissionView } from '../../schemas/mission.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Delivery, Publish } from '../hub/channel.js'
import type { EndedMissionSource, EndedMissions } from '../missions/lifetime/ended-missions.js'

/** What a filter asks of one message. */
interface MissionFacts { missionId: string, name: string, tags: readonly string[] | undefined, status: MissionStatus, previousStatus: MissionStatus | undefined }

/** The little of a mission that its facts are made of. */
interface MissionLike { readonly id: string, readonly name: string, readonly tags: readonly string[], readonly status: MissionStatus }

/** Endings that one who comes for the first time is told of. */
const FRESH_ENDINGS = 100

const TERMINAL = new Set<string>(TERMINAL_STATUSES)

/**
 * `mission_update`: every step of every mission. Progress may be replaced by newer progress of the same mission while it
 * waits; any other step must arrive and makes the mission's waiting progress pointless. Endings are kept also while nobody listens.
 */
export function createMissionUpdateChannel ({ told, isActive, endings, onUpdate, onEnded }: {
  /** Every mission that has not ended and may be told of, oldest first. */
  told: () => Array<MissionLike & { view (): MissionView }>
  /** Whether a mission with this id has not ended: the id of one that ended may be used again. */
  isActive: (id: string) => boolean
  endings: EndedMissions
  onUpdate: (listener: (update: MissionUpdate) => void) => Unsubscribe
  /** Called after the update that tells of the ending. */
  onEnded: (listener: (mission: EndedMissionSource) => void) => Unsubscribe
}): Channel<'mission_update'> {
  let unsubscribe: Unsubscribe | undefined
  let last: { missionId: string, offset: number | undefined } | undefined

  onEnded((mission) => endings.put(mission, last?.missionId === mission.id ? last.offset : undefined))

  return {
    name: 'mission_update',
    delivery (update): Delivery {
      const key = update.missionId
      return { facts: factsOf(update), ...(isReplaceable(update) ? { key } : { supersedes: key }) }
    },
    start (publish: Publish<'mission_update'>, head) {
      endings.settle(head)
      unsubscribe = onUpdate((update) => { last = { missionId: update.missionId, offset: publish(update) } })
    },
    stop () {
      unsubscribe?.()
      last = undefined
    },
    snapshot: () => told().map((mission) => toState(mission.view())),
    checksumEntries: () => told().map(({ id, name, tags, status }): MissionFacts => ({ missionId: id, name, tags, status, previousStatus: undefined })),
    endings: (after, upTo) => (after === undefined ? endings.newest(FRESH_ENDINGS, upTo) : endings.between(after, upTo)).filter(({ missionId }) => !isActive(missionId)),
    fits: (facts, filter) => fits(facts as MissionFacts, filter),
    checksumEntry: (facts) => TERMINAL.has((facts as MissionFacts).status) ? undefined : facts as MissionFacts
  }
}

const factsOf = ({ missionId, name, tags, status, previousStatus }: MissionUpdate): MissionFacts => ({ missionId, name, tags, status, previousStatus })

function fits ({ missionId, name, tags, status, previousStatus }: MissionFacts, filter: SubscriptionFilter): boolean {
  return (filter.missionIds?.includes(missionId) ?? true) &&
    (filter.names?.includes(name) ?? true) &&
    (filter.tags?.some((tag) => tags?.includes(tag)) ?? true) &&
    // One that leaves the wanted statuses is told of once more.
    (filter.statuses?.some((wanted) => wanted === status || wanted === previousStatus) ?? true)
}

// Progress that also brings what the next progress will not repeat must arrive all the same.
const isReplaceable = ({ status, previousStatus, seq, cancel, stalled, metadata, planningSession, tasksSummary }: MissionUpdate): boolean =>
  status === 'execution_progress' && previousStatus === undefined && seq > 1 && cancel === undefined && stalled === undefined &&
  metadata === undefined && planningSession === undefined && tasksSummary === undefined

/** A mission as one who has heard nothing of it is told. */
export const toState = (view: MissionView): MissionUpdate => ({
  missionId: view.id,
  status: view.status,
  name: view.name,
  seq: view.seq,
  startedAt: view.startedAt,
  ...(view.endedAt !== null && { endedAt: view.endedAt }),
  ...(view.tags.length > 0 && { tags: view.tags }),
  ...(view.parentId !== null && { parentId: view.parentId }),
  ...(view.objective !== null && { objective: view.objective }),
  ...(view.metadata !== null && { metadata: view.metadata }),
  ...(view.progress !== null && { progress: view.progress }),
  ...(view.error !== null && { error: view.error }),
  ...(view.cancel !== null && { cancel: view.cancel }),
  ...(view.stalled && { stalled: true as const }),
  ...(view.waiting !== null && { waiting: view.waiting }),
  ...(view.durationMs !== null && { durationMs: view.durationMs }),
  snapshot: true
})
