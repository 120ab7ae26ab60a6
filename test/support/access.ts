import { Access } from '../../lib/access/access.js'
import type { Clock } from '../../lib/base/clock.js'

/** Access without rules: everybody may do everything. */
export const openAccess = (clock: Clock): Access => new Access({ rules: undefined, clock, onCallbackError () {} })
