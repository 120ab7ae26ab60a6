/** A silence: its end, in ms since 1970, and its author. */
export interface Silence { readonly until: number, readonly by: string }

const MAX_SILENCES = 200

/** Silenced alerts by fingerprint. Beyond the limit, the oldest silence is dropped. */
export class Silences {
  readonly #silences = new Map<string, Silence>()

  /** Sets a silence; one that is over ends it. */
  set (key: string, silence: Silence, now: number): void {
    this.#silences.delete(key)
    if (silence.until <= now) return
    this.#silences.set(key, silence)
    if (this.#silences.size > MAX_SILENCES) this.#silences.delete(this.#silences.keys().next().value!)
  }

  /** Until when an alert is silenced; `undefined` if it is not. */
  until (key: string, now: number): number | undefined {
    const silence = this.#silences.get(key)
    if (silence === undefined || silence.until > now) return silence?.until
    this.#silences.delete(key)
    return undefined
  }

  read (): Array<[key: string, silence: Silence]> { return [...this.#silences] }

  replace (silences: ReadonlyArray<readonly [key: string, silence: Silence]>): void {
    this.#silences.clear()
    for (const [key, silence] of silences.slice(-MAX_SILENCES)) this.#silences.set(key, silence)
  }
}
