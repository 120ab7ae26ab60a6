import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import { missionChecksum } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { MissionStatus, TerminalStatus } from '../../../schemas/mission.js'
import type { StreamPosition } from '../../../schemas/messages/envelope.js'

/** Where a mission is: all that was told of it, the newest of each field. A new one is made for each update; none changes later. */
export type MissionState = Omit<MissionUpdate, 'snapshot' | 'previousStatus'>

export interface MissionMap {
  readonly states: ReadonlyMap<string, MissionState>
  /**
   * Takes an update and says whether it tells anything new. `position` is its own if it is a step that must arrive, else that of the last one
   * of the channel.
   */
  apply (update: MissionUpdate, position: StreamPosition, isStep: boolean): boolean
  /** Forgets the active missions that are not among `ids`, and gives them. */
  keepOnly (ids: ReadonlySet<string>): MissionState[]
  /** The checksum over the active missions. */
  checksum (): string
}

const MAX_ENDED = 1_000

export const isEnding = (status: MissionStatus): status is TerminalStatus => status === 'completed' || status === 'cancelled' || status === 'error'

/** `known` with what `update` says. What holds only while it is said goes. */
export function merge ({ snapshot: _, previousStatus: __, stalled: ___, waiting: ____, ...known }: Partial<MissionUpdate>, update: MissionUpdate): MissionUpdate {
  return { ...known, ...update }
}

/** The missions that the service told of: the active ones and the last 1,000 that ended. It never goes back, whatever comes twice or late. */
export function createMissionMap (filter: SubscriptionFilter | undefined): MissionMap {
  const states = new Map<string, MissionState>()
  const positions = new WeakMap<MissionState, StreamPosition>()
  // Ids of missions that ended, in this order.
  const ended = new Set<string>()

  const active = (): MissionState[] => [...states.values()].filter(({ status }) => !isEnding(status))

  function forget (id: string): void {
    states.delete(id)
    ended.delete(id)
  }

  function keep (state: MissionState, position: StreamPosition): void {
    const { missionId, status } = state
    ended.delete(missionId)
    states.set(missionId, state)
    positions.set(state, position)
    if (isEnding(status)) {
      if (ended.add(missionId).size > MAX_ENDED) forget(ended.values().next().value!)
    } else if (filter?.statuses?.includes(status) === false) forget(missionId)
  }

  return {
    states,
    apply (update, position, isStep) {
      const { missionId, seq, status, snapshot } = update
      let known = states.get(missionId)
      if (known !== undefined) {
        const at = positions.get(known)!
        const hasEnded = isEnding(known.status)
        const isSameEpoch = at.epoch === position.epoch
        if (hasEnded && status === known.status && update.endedAt === known.endedAt) return false
        const isByPosition = isStep || (snapshot && hasEnded)
        const isOld = isByPosition ? position.offset <= at.offset : hasEnded || seq < known.seq || (!snapshot && seq === known.seq)
        if (isSameEpoch && isOld) return false
        // Of another process, or of an id that is used again after its mission ended: nothing of it holds for the new one.
        if (hasEnded || !isSameEpoch) known = undefined
      }
      const { snapshot: _, previousStatus, ...state } = merge(known ?? {}, update)
      keep(state, position)
      return !snapshot || !known || seq > known.seq || status !== known.status
    },
    keepOnly (ids) {
      const lost = active().filter(({ missionId }) => !ids.has(missionId))
      for (const { missionId } of lost) forget(missionId)
      return lost
    },
    checksum: () => missionChecksum(active())
  }
}
