/** The longest delay, in ms, that Node's timers accept. A longer one fires immediately. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** The highest attempt that a host can ask for: far below 2^53, from where on the next number is no longer exact. */
export const MAX_ATTEMPT = 2 ** 52
