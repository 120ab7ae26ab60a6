import type { Anomaly } from '../../../../schemas/anomaly.js'

/**
 * An alert for viewers who may not see every mission: without ids of missions and without texts of errors. Names, codes
 * and counts stay.
 */
export function withoutMissions (anomaly: Anomaly): Anomaly {
  const { missionIds, details, ...rest } = anomaly
  const { errorMessage, ...shown } = details ?? {}
  const message = cutAt(cutAt(rest.message, missionIds?.[0]), errorMessage)
  return { ...rest, message, details: details === null ? null : shown }
}

// What comes after the text goes too: it may belong to it.
function cutAt (message: string, secret: unknown): string {
  const at = typeof secret === 'string' && secret !== '' ? message.indexOf(`: ${secret}`) : -1
  return at > 0 ? message.slice(0, at) : message
}
