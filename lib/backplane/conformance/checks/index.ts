import type { StandCheck } from '../check.js'
import { REFERENCE_CHECKS } from '../reference.js'
import { COUNT_CHECKS } from './counts.js'
import { IDEMPOTENCE_CHECKS } from './idempotence.js'
import { LEASE_CHECKS } from './leases.js'
import { LIFECYCLE_CHECKS } from './lifecycle.js'
import { MESSAGE_CHECKS } from './messages.js'
import { ORDER_CHECKS } from './order.js'
import { OWNERSHIP_CHECKS } from './ownership.js'
import { READING_CHECKS } from './reading.js'
import { STATE_CHECKS } from './states.js'
import { STREAM_CHECKS } from './streams.js'
import { TEXT_CHECKS } from './texts.js'

export { createTrimCheck } from './reading.js'

/** Every check that needs no option, in the order of a run. */
export const BACKPLANE_CHECKS: readonly StandCheck[] = [
  ...ORDER_CHECKS, ...TEXT_CHECKS, ...IDEMPOTENCE_CHECKS, ...LIFECYCLE_CHECKS, ...OWNERSHIP_CHECKS, ...STREAM_CHECKS,
  ...COUNT_CHECKS, ...STATE_CHECKS, ...READING_CHECKS, ...LEASE_CHECKS, ...MESSAGE_CHECKS, ...REFERENCE_CHECKS
]
