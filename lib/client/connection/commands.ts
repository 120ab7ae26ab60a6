import type { Client } from '../client.js'
import type { ClientContext } from '../context.js'
import type { Requests } from './requests.js'

/** Commands of the user. `cancel` and `ping` are idempotent, so they are sent again after a lost connection. */
export function createCommands (
  context: ClientContext, { ask }: Requests
): Pick<Client, 'start' | 'cancel' | 'ping'> {
  return {
    async start (command, options) {
      return (await ask<'mission_start'>({ type: 'mission_start', command }, options))[0].payload
    },
    async cancel (missionId, options) {
      return (await ask<'mission_cancel'>({ type: 'mission_cancel', missionId }, { ...options, retry: true }))[0]
        .payload
    },
    async ping () {
      return (context.rttMs = (await ask({ type: 'ping' }, { retry: true }))[1])
    }
  }
}
