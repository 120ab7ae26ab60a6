import type { Check } from '../check.js'
import { AUDITS } from './audits.js'
import { INPUT_CHECKS } from './input.js'
import { MISSION_CHECKS } from './missions.js'
import { REPLY_CHECKS } from './replies.js'
import { RESUME_CHECKS } from './resume.js'
import { SUBSCRIPTION_CHECKS } from './subscriptions.js'
import { TRANSPORT_CHECKS } from './transport.js'

/** Every check, in the order of a run. The last ones look at all that came over all connections. */
export const CHECKS: readonly Check[] = [
  ...REPLY_CHECKS, ...INPUT_CHECKS, ...SUBSCRIPTION_CHECKS, ...TRANSPORT_CHECKS, ...RESUME_CHECKS, ...MISSION_CHECKS, ...AUDITS
]
