/** The longest delay, in ms, that Node's timers accept. A longer one fires immediately. */
export const LONGEST_TIMER_MS = 2_147_483_647
