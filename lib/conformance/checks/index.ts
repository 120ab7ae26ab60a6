import type { Check } from '../check.js'
import { ACCESS_CHECKS } from './access.js'
import { INPUT_CHECKS } from './input.js'
import { MISSION_CHECKS } from './missions.js'
import { REPLY_CHECKS } from './replies.js'
import { RESUME_CHECKS } from './resume.js'
import { SUBSCRIPTION_CHECKS } from './subscriptions.js'
import { TRANSCRIPT_CHECKS } from './transcript.js'
import { TRANSPORT_CHECKS } from './transport.js'

/** Every check in the order of a run. The transcript checks come last, so that they see all messages of the run. */
export const CHECKS: readonly Check[] = [
  ...REPLY_CHECKS, ...INPUT_CHECKS, ...SUBSCRIPTION_CHECKS, ...ACCESS_CHECKS, ...TRANSPORT_CHECKS, ...RESUME_CHECKS,
  ...MISSION_CHECKS, ...TRANSCRIPT_CHECKS
]
