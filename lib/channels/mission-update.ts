import { isReplaceableUpdate, type MissionUpdate } from '../../schemas/channels/mission-update.js'
import { isTerminal } from '../../schemas/mission.js'
import type { Clock } from '../base/clock.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, ChannelOrigin, Delivery } from '../hub/channel.js'
import type { EndedMission, EndedMissions, FeedOrigin, ListedMission, MissionFeed } from '../missions/index.js'
import { createMatchers, createSubjects, endingOf, type MissionAttributes, type Sees } from './mission-filter.js'

/** The payload of an active mission in snapshots, and what tells whether the mission has changed since. */
interface KeptPayload { payload: MissionUpdate, seq: number, updatedAt: number, keptAt: number }

export interface MissionUpdateChannelDeps {
  clock: Clock
  feed: MissionFeed
  toSnapshot: (mission: ListedMission) => MissionUpdate
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
  const { feed, endings, sees, tenant } = deps
  const visible = (ids?: readonly string[]) => feed.visible(tenant, ids)
  // The id of an ended mission may be used again.
  const isActive = (id: string) => feed.find(tenant, id)?.isTerminal === false
  const matcherOf = createMatchers(sees)
  const { about, attributesOf, presentOf } = createSubjects(sees, tenant)
  let unsubscribe: Unsubscribe | undefined
  const payloads = createKeptPayloads(deps, about)

  return {
    name: 'mission_update',
    delivery: (update) => ({ attributes: attributesOf(update), ...deliveryOf(update) }),
    origin: () => originOf(feed.origin?.(tenant)),
    start (publish, head) {
      endings().connect((update, mission, place) => publish(about(mission, update), { place }), head)
      unsubscribe = feed.onUpdate((update, mission, place) => {
        if (!isTerminal(update.status)) publish(about(mission, update), { place })
      }, tenant)
    },
    stop () {
      unsubscribe?.()
      endings().disconnect()
      payloads.forget()
    },
    * snapshot (filter) {
      const fits = filter && matcherOf(filter)
      for (const mission of visible(filter?.missionIds)) {
        yield fits === undefined || fits(presentOf(mission)) ? payloads.of(mission) : undefined
      }
    },
    size: () => visible().length,
    forgetSnapshot: () => payloads.forget(),
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
    routesOf: ({ missionIds, names }) => (missionIds ?? names)?.map(missionIds === undefined ? nameRoute : idRoute),
    routesTo: (attributes) => routesTo(attributes as MissionAttributes),
    fits: (attributes, filter) => matcherOf(filter)(attributes as MissionAttributes),
    checksumEntry: (attributes) =>
      isTerminal((attributes as MissionAttributes).status) ? undefined : attributes as MissionAttributes
  }
}

type About = (mission: ListedMission, update: MissionUpdate) => MissionUpdate

/** The payloads of snapshots, which are the same objects while their missions do not change. */
function createKeptPayloads ({ clock, toSnapshot, tenant }: MissionUpdateChannelDeps, about: About) {
  let kept = new WeakMap<ListedMission, KeptPayload>()
  return {
    of (mission: ListedMission): MissionUpdate {
      const { seq, updatedAt, instance } = mission
      const known = kept.get(mission)
      if (known !== undefined && isCurrent(known, mission)) return known.payload
      const snapshot = toSnapshot(mission)
      // A tenant does not see the processes.
      const isNamed = tenant === undefined && instance !== null
      const payload = about(mission, isNamed ? { ...snapshot, instance } : snapshot)
      kept.set(mission, { payload, seq, updatedAt, keptAt: clock.now() })
      return payload
    },
    forget () { kept = new WeakMap() }
  }
}

const idRoute = (id: string): string => `id ${id}`
const nameRoute = (name: string): string => `name ${name}`
const routesTo = ({ missionId, name }: MissionAttributes): string[] => [idRoute(missionId), nameRoute(name)]

// Not if it was kept in the millisecond of the last change: another change may have followed within it.
const isCurrent = ({ seq, updatedAt, keptAt }: KeptPayload, mission: ListedMission): boolean =>
  mission.seq === seq && mission.updatedAt === updatedAt && keptAt > updatedAt

const originOf = (origin: FeedOrigin | undefined): ChannelOrigin<'mission_update'> | undefined => origin && {
  head: origin.head,
  recent: origin.recent.map(({ update, place }) => ({ payload: update, place }))
}

const deliveryOf = (update: MissionUpdate): Delivery =>
  isReplaceableUpdate(update) ? { key: update.missionId } : { supersedes: update.missionId }
