import type { MissionNote } from '../../../../schemas/mission.js'

/** Notes kept of one mission; older ones are only counted. */
const MAX_NOTES = 20
/** UTF-8 size of the kept notes as JSON, because a snapshot has all of them. */
const MAX_BYTES = 16_384

interface Kept { readonly note: MissionNote, readonly bytes: number }

/** The newest notes of one mission, oldest first. */
export class Notes {
  readonly #kept: Kept[] = []
  #bytes = 0
  #omitted = 0

  /** The notes of a mission as another process has kept them; `undefined` if there are none. */
  static restore (list: readonly MissionNote[], omitted: number): Notes | undefined {
    if (list.length + omitted === 0) return undefined
    const notes = new Notes()
    for (const note of list) notes.#keep(note)
    notes.#omitted += omitted
    return notes
  }

  get omitted (): number { return this.#omitted }

  /** Keeps a note and returns it; `data` is a JSON copy. */
  add (text: string, data: unknown, at: number): MissionNote {
    const note = { text, ...(data !== undefined && { data }), at }
    this.#keep(note)
    return note
  }

  list (): MissionNote[] {
    return this.#kept.map(({ note }) => structuredClone(note))
  }

  #keep (note: MissionNote): void {
    const bytes = Buffer.byteLength(JSON.stringify(note))
    this.#kept.push({ note, bytes })
    this.#bytes += bytes
    while (this.#kept.length > MAX_NOTES || this.#bytes > MAX_BYTES) {
      this.#bytes -= this.#kept.shift()!.bytes
      this.#omitted++
    }
  }
}
