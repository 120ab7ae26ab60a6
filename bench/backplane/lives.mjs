// The work that is measured: missions that live one after the other, each in a slot, and take their steps evenly.
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'

/** The steps of a life: start, plan, execution, progress, end. */
const LIFE_STEPS = 80
/** Half the limit of progress messages of a mission. */
const STEPS_PER_SLOT = 5
/**
 * The shortest time between two steps of a mission, a little above what that limit allows. After a pause of the process,
 * overdue steps come faster than usual, and progress that comes too early would be merged.
 */
const MIN_PAUSE_MS = 105

export const nameOf = (number) => `job ${number}`

/** Missions of one process, by `prefix`; their names are those of as many subscribers. */
export class Lives {
  #act
  #slots
  #taken = 0

  /**
   * `act` has the functions `start`, `plan`, `execute`, `progress` and `complete`, which get the slot. `maxPerSecond` is
   * the highest rate of steps.
   */
  constructor (act, { maxPerSecond, names, prefix }) {
    this.#act = act
    // The first lives are shorter, so that the lives do not end all at once.
    this.#slots = Array.from({ length: Math.ceil(maxPerSecond / STEPS_PER_SLOT) }, (_, at) => ({
      number: at % names,
      name: nameOf(at % names),
      prefix,
      at,
      lives: 0,
      seq: 0,
      length: 5 + at * 7 % (LIFE_STEPS - 5),
      steppedAt: -Infinity
    }))
  }

  /**
   * Takes `perSecond` steps a second for `seconds`, in bursts; 0 to measure what only the waiting costs. Returns how
   * many steps each name has taken, and with `isTimed` the time of each step. `isForAll`: the steps are for everybody.
   */
  async run ({ perSecond, seconds, names, burst = 1, isTimed = false, isForAll = false }) {
    const steps = new Array(names).fill(0)
    const times = []
    const startedAt = performance.now()
    for (let taken = 0, elapsed = 0; elapsed < seconds;) {
      elapsed = (performance.now() - startedAt) / 1_000
      const due = Math.floor(Math.min(elapsed, seconds) * perSecond / burst) * burst
      for (; taken < due; taken++) {
        // The one that has waited longest.
        const slot = this.#slots[this.#taken % this.#slots.length]
        const now = performance.now()
        if (now - slot.steppedAt < MIN_PAUSE_MS) break
        slot.steppedAt = now
        this.#taken++
        slot.room = isForAll ? 'all' : slot.name
        this.#step(slot)
        steps[slot.number]++
        if (isTimed) times.push([slot.id, slot.seq, machineMs()])
      }
      await sleep(1)
    }
    return { steps, times, takenMs: performance.now() - startedAt }
  }

  #step (slot) {
    const act = this.#act
    if (slot.seq === slot.length) {
      slot.seq = 0
      slot.length = LIFE_STEPS
    }
    const { seq, length } = slot
    slot.seq++
    if (seq === 0) {
      slot.id = `${slot.prefix}-${slot.at}-${++slot.lives}`
      act.start(slot)
    } else if (seq === 1) act.plan(slot)
    else if (seq === 2) act.execute(slot)
    else if (seq < length - 1) act.progress(slot)
    else act.complete(slot)
  }
}
