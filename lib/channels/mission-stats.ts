import type { MissionTotals } from '../../schemas/mission.js'
import type { MissionStats } from '../../schemas/channels/mission-stats.js'
import { createUnifiedId, type Clock, type Timer } from '../base/clock.js'
import type { Channel, Publish } from '../hub/channel.js'

/** `mission_stats`: the registry's totals, at once to a new subscriber and then at every interval. */
export function createMissionStatsChannel ({ clock, intervalMs, totals }: {
  clock: Clock
  intervalMs: number
  totals: () => MissionTotals
}): Channel<'mission_stats'> {
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
