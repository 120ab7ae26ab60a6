import type { MissionTotals } from '../../schemas/mission.js'
import type { MissionStats } from '../../schemas/channels/mission-stats.js'
import { createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import type { Channel, Publish } from '../hub/channel.js'

export interface MissionStatsChannelDeps {
  clock: Clock
  intervalMs: number
  totals: () => MissionTotals
}

/** `mission_stats`: the totals of the registry, to a new subscriber at once, and then at every interval. */
export function createMissionStatsChannel (deps: MissionStatsChannelDeps): Channel<'mission_stats'> {
  const { clock, intervalMs, totals } = deps
  let timer: Timer | undefined
  const read = (): MissionStats => ({ snapshotId: createUnifiedId('snapshot'), ...totals() })

  return {
    name: 'mission_stats',
    delivery: () => ({ key: 'mission_stats' }),
    start (publish: Publish<'mission_stats'>) { timer = clock.every(intervalMs, () => publish(read())) },
    stop () { timer?.cancel() },
    snapshot: () => [read()]
  }
}
