const STEP_MS = 300_000
/** How many steps of 5 minutes the window has. */
export const STEPS = 3

/** The number of active missions over the last 15 minutes, at most one sample for each 5 s. */
export class LoadSamples {
  readonly #samples: Array<{ at: number, load: number }> = []

  add (at: number, load: number): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && at - last.at < STEP_MS / 60) last.load = load
    else this.#samples.push({ at, load })
    // One older sample stays, which is the value at the beginning.
    while (this.#samples.length > 1 && this.#samples[1]!.at <= at - STEPS * STEP_MS) this.#samples.shift()
  }

  /** The values 15, 10, 5 and 0 minutes ago; fewer if there are none from so long ago. */
  read (at: number): number[] {
    const loads: number[] = []
    for (let step = STEPS; step >= 0; step--) {
      const sample = this.#samples.findLast((one) => one.at <= at - step * STEP_MS)
      if (sample !== undefined) loads.push(sample.load)
    }
    return loads
  }
}
