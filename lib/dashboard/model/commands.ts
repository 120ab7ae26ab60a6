import type { Client } from '../../client/index.js'

const REFUSALS: Record<string, string> = {
  unknown_mission: 'It has ended, or you may not stop it.',
  owner_unavailable: 'The process that runs it does not answer. Try again in a moment.',
  forbidden: 'You may not do this.',
  too_many_starts: 'Too many missions were started. Try again in a minute.',
  too_many_requests: 'Too much was asked for. Try again in a minute.',
  invalid_command: 'The service does not accept this input.',
  MC_CLIENT_TIMEOUT: 'The service has not answered in time.',
  MC_CLIENT_OUTCOME_UNKNOWN: 'The connection was lost before the answer. Look before you try again.'
}

/** The error of a command in words. */
export function explain (err: unknown): string {
  const { reason, code } = err as { reason?: string, code?: string }
  return REFUSALS[reason ?? ''] ?? REFUSALS[code ?? ''] ?? 'The service could not do it; its log says why.'
}

/** Asks the service to stop missions. Returns why it did not, one text for each failure. */
export async function stopMissions (client: Client, ids: readonly string[], reason: string): Promise<string[]> {
  const failures: string[] = []
  for (const missionId of ids) {
    const request = { type: 'mission_cancel' as const, missionId, ...reason !== '' && { reason } }
    await client.request<'mission_cancel'>(request).catch((err: unknown) => { failures.push(explain(err)) })
  }
  return failures
}
