import type { HealthSnapshot } from '../../schemas/health.js'
import type { Unsubscribe } from '../base/events.js'
import type { Channel, Publish } from '../hub/channel.js'

export interface HealthDeltaChannelDeps {
  health: () => HealthSnapshot
  onChange: (listener: (health: HealthSnapshot) => void) => Unsubscribe
}

/**
 * `health_delta`: every change of the overall status. A new subscriber gets the current status, marked as a snapshot.
 */
export function createHealthDeltaChannel (deps: HealthDeltaChannelDeps): Channel<'health_delta'> {
  const { health, onChange } = deps
  let unsubscribe: Unsubscribe | undefined

  return {
    name: 'health_delta',
    delivery: () => ({}),
    start (publish: Publish<'health_delta'>) {
      unsubscribe = onChange((changed) => publish({ status: changed.status, health: changed }))
    },
    stop () { unsubscribe?.() },
    size: () => 1,
    snapshot () {
      const present = health()
      return [{ status: present.status, health: present, snapshot: true as const }]
    }
  }
}
