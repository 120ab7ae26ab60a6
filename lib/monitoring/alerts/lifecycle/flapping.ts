const WINDOW_MS = 3_600_000
const MAX_FIRINGS = 4
/** How many fingerprints are remembered. */
const MAX_KEYS = 500

/** Finds alerts that fire again and again. Times are in ms of the monotonic clock. */
export class Flapping {
  readonly #firings = new Map<string, number[]>()

  /** The alert with this fingerprint fires. Returns whether it has fired more than four times within an hour. */
  fired (key: string, at: number): boolean {
    const recent = (this.#firings.get(key) ?? []).filter((firedAt) => at - firedAt < WINDOW_MS).slice(-MAX_FIRINGS)
    recent.push(at)
    // Inserted again, so that the map is in the order of the last firing.
    this.#firings.delete(key)
    this.#firings.set(key, recent)
    if (this.#firings.size > MAX_KEYS) this.#firings.delete(this.#firings.keys().next().value!)
    return recent.length > MAX_FIRINGS
  }
}
