import { callGuarded } from '../../../base/promises.js'
import type { MissionOutcome } from '../../types.js'

type EndListener = (outcome: MissionOutcome) => void

/** Who waits for the ending of one mission. */
export class EndListeners {
  #listeners: Set<EndListener> | undefined
  #done: Promise<MissionOutcome> | undefined

  /** A promise of the ending, the same for every call. */
  done (outcome: MissionOutcome | undefined): Promise<MissionOutcome> {
    return (this.#done ??= outcome !== undefined
      ? Promise.resolve(outcome)
      : new Promise((resolve) => { this.add(resolve) }))
  }

  add (listener: EndListener): () => void {
    const listeners = (this.#listeners ??= new Set())
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }

  /** Calls every listener and drops it. */
  settle (outcome: MissionOutcome, onError: (err: unknown) => void): void {
    const listeners = this.#listeners ?? []
    this.#listeners = undefined
    for (const listener of listeners) callGuarded(() => listener(outcome), onError)
  }
}
