import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import { missionChecksum } from '../../../schemas/checksum.js'
import type { SubscriptionFilter } from '../../../schemas/filter.js'
import type { MissionStatus, TerminalStatus } from '../../../schemas/mission.js'
import type { StreamPosition } from '../../../schemas/messages/envelope.js'
import { TERMINAL } from '../channels.js'
import type { ClientMissionState } from '../types.js'

export interface MissionMap {
  readonly states: ReadonlyMap<string, ClientMissionState>
  /**
   * Applies an update and returns whether it says anything new. `position` is that of the update if it is reliable,
   * otherwise the last one of the channel.
   */
  apply (update: MissionUpdate, position: StreamPosition, isReliable: boolean): boolean
  /** Removes the active missions whose ids are not in `ids` and returns them. */
  keepOnly (ids: ReadonlySet<string>): ClientMissionState[]
  /** The checksum of the active missions. */
  checksum (): string
}

const MAX_ENDED = 1_000

export const isTerminalStatus = (status: MissionStatus): status is TerminalStatus =>
  (TERMINAL as readonly MissionStatus[]).includes(status)

/**
 * Merges an update into what is known. Fields that describe only the moment of the known update are dropped, and so are
 * the causes of its error, which the service repeats as long as that error is the last one.
 */
export function merge (known: Partial<MissionUpdate>, update: MissionUpdate): MissionUpdate {
  const {
    previousStatus: _, waiting: __, snapshot: ___, errorCauses: ____, stalled: _____,
    statusTimes: ______, tasks: _______, tasksOmitted: ________, ...lasting
  } = known
  return { ...lasting, ...update }
}

/** Active missions and the last 1,000 that ended. Duplicate and late updates never move a mission backwards. */
export function createMissionMap (filter: SubscriptionFilter | undefined, onChange: () => void): MissionMap {
  const states = new Map<string, ClientMissionState>()
  const positions = new WeakMap<ClientMissionState, StreamPosition>()
  // Ids of ended missions, oldest first.
  const ended = new Set<string>()

  const active = (): ClientMissionState[] => [...states.values()].filter(({ status }) => !isTerminalStatus(status))

  function keep (state: ClientMissionState, position: StreamPosition): void {
    const { missionId, status } = state
    ended.delete(missionId)
    states.set(missionId, state)
    positions.set(state, position)
    if (isTerminalStatus(status)) {
      const [oldest] = ended.add(missionId)
      if (ended.size > MAX_ENDED) {
        states.delete(oldest!)
        ended.delete(oldest!)
      }
    } else if (filter?.statuses?.includes(status) === false) states.delete(missionId)
    onChange()
  }

  return {
    states,
    apply (update, position, isReliable) {
      const { missionId, seq, status, snapshot } = update
      let known = states.get(missionId)
      if (known) {
        const last = positions.get(known)!
        const hasEnded = isTerminalStatus(known.status)
        const isSameEpoch = last.epoch === position.epoch
        const isSameAttempt = known.attempt === update.attempt
        if (hasEnded && isSameAttempt && status === known.status && update.endedAt === known.endedAt) return false
        const isOld = isReliable || (snapshot && hasEnded)
          ? position.offset <= last.offset
          : hasEnded || seq < known.seq + (snapshot ? 0 : 1)
        if (isSameEpoch && isOld) return false
        // Another process, or another attempt: nothing of the known mission applies to the new one.
        if (hasEnded || !isSameEpoch || !isSameAttempt) known = undefined
      }
      const { snapshot: _, previousStatus, ...state } = merge(known ?? {}, update)
      keep(state, position)
      return !snapshot || !known || seq > known.seq || status !== known.status
    },
    keepOnly (ids) {
      const lost = active().filter(({ missionId }) => !ids.has(missionId))
      for (const { missionId } of lost) states.delete(missionId)
      return lost
    },
    checksum: () => missionChecksum(active())
  }
}
