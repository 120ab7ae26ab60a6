import type { MissionError } from '../../../schemas/mission.js'
import type { Payloads } from '../payload/payload.js'
import type { CheckedDetails, MissionStep } from '../types.js'

/** What code of the host has made of the details of a report: what is kept, and what is only emitted. */
export interface Prepared { readonly error?: MissionError, readonly metadata?: unknown, readonly step: MissionStep }

/**
 * Runs the host's serializers, before anything has changed. `isEmitted`: whether anybody receives the update; what
 * nobody receives is not serialized.
 */
export function prepare (
  details: CheckedDetails, knownMetadata: unknown, payloads: Payloads, isEmitted: boolean
): Prepared {
  const { error, metadata } = details
  return {
    ...(error !== undefined && { error: Object.freeze(payloads.error(error)) }),
    ...(metadata !== undefined && { metadata: payloads.metadata(knownMetadata, metadata) }),
    step: isEmitted ? payloads.details(details) : {}
  }
}
