import { createRandom } from '../simulation.js'

/** The decisions of one story, which depend on its seed only. */
export interface Chance {
  /** A number from 0 to below 1. */
  (): number
  pick: <T>(list: readonly T[]) => T
  /** A whole number from 0 to `max`. */
  upTo: (max: number) => number
  /** Whether something happens that has this probability. */
  happens: (probability: number) => boolean
}

export function createChance (seed: number): Chance {
  const random = createRandom(seed)
  return Object.assign(() => random(), {
    pick: <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!,
    upTo: (max: number): number => Math.floor(random() * (max + 1)),
    happens: (probability: number): boolean => random() < probability
  })
}
