import type { Stand } from './stand.js'

/** One promise of the contract. */
export interface StandCheck {
  readonly title: string
  /** Throws an error that says what is wrong. The stand has no process yet. */
  readonly run: (stand: Stand) => Promise<void>
}
