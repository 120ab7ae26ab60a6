import type { Client } from '../client.js'
import type { ClientContext } from '../context.js'
import type { Requests } from './requests.js'

/** Commands of the user. `cancel` and `ping` are idempotent, so they are sent again after a lost connection. */
export function createCommands (
  context: ClientContext, { ask }: Requests
): Pick<Client, 'start' | 'cancel' | 'request' | 'ping'> {
  return {
    start: (command, options) => ask<'mission_start'>({ type: 'mission_start', command }, options),
    cancel: (missionId, { reason, ...options } = {}) => ask<'mission_cancel'>(
      { type: 'mission_cancel', missionId, ...(reason !== undefined && { reason }) }, { ...options, retry: true }),
    request: (request, options) => ask(request, { ...options, retry: true }),
    async ping () {
      await ask({ type: 'ping' }, { retry: true })
      return context.rttMs!
    }
  }
}
