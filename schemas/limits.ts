/** The longest delay, in ms, that Node's timers accept. A longer one fires immediately. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** The highest attempt that a host can ask for: far below 2^53, from where on the next number is no longer exact. */
export const MAX_ATTEMPT = 2 ** 52

/** The end of the year 9999, in ms since 1970: ISO 8601 needs more digits for a later year. */
export const LATEST_TIME_MS = 253_402_300_799_999
