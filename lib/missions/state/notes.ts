import type { MissionNote } from '../../../schemas/mission.js'

/** Notes kept of one mission; older ones are only counted. */
const MAX_NOTES = 20

/** The newest notes of one mission, oldest first. */
export class Notes {
  readonly #notes: MissionNote[] = []
  #omitted = 0

  get omitted (): number { return this.#omitted }

  /** Keeps a note and returns it; `data` is a JSON copy. */
  add (text: string, data: unknown, at: number): MissionNote {
    const note = { text, ...(data !== undefined && { data }), at }
    this.#notes.push(note)
    if (this.#notes.length > MAX_NOTES) {
      this.#notes.shift()
      this.#omitted++
    }
    return note
  }

  list (): MissionNote[] {
    return this.#notes.map((note) => structuredClone(note))
  }
}
