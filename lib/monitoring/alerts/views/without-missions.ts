import type { Anomaly } from '../../../../schemas/anomaly.js'

/**
 * An alert for viewers who may not see every mission: without mission ids and error texts, but with names, codes and
 * counts.
 */
export function withoutMissions (anomaly: Anomaly): Anomaly {
  const { missionIds, details, ...rest } = anomaly
  const { errorMessage, ...shown } = details ?? {}
  const message = cutAt(cutAt(rest.message, missionIds?.[0]), errorMessage)
  return { ...rest, message, details: details === null ? null : shown }
}

// The rest of the message is removed too: it may belong to the error text.
function cutAt (message: string, secret: unknown): string {
  const at = typeof secret === 'string' && secret !== '' ? message.indexOf(`: ${secret}`) : -1
  return at > 0 ? message.slice(0, at) : message
}
