import { signal } from '@preact/signals-core'
import type { Client } from '../../../client/index.js'
import type { Missions } from './missions.js'
import { BUCKET_MS, BUCKETS } from './trends.js'

export interface ArchiveDeps { missions: Missions, client: () => Client, now: () => number }

const PAGE_SIZE = 200
const MAX_SEARCH = 128
/** Pages that are loaded at first, as long as they are within the time of the charts. */
const FIRST_PAGES = 5

/** Loads missions that the page does not know: older ones, search results, and single missions by id. */
export class Archive {
  /** The cursor of older missions: `undefined` before the first page, `null` when there are no more. */
  readonly cursor = signal<string | null | undefined>(undefined)
  /** Everything that ended after this time is known. */
  readonly completeSinceMs = signal(Infinity)
  readonly #deps: ArchiveDeps
  #beginning: Promise<void> | undefined

  constructor (deps: ArchiveDeps) {
    this.#deps = deps
  }

  /** Loads the newest missions. A viewer may be allowed to see missions only from now on; then there are none. */
  async begin (): Promise<void> {
    this.#beginning ??= this.#begin().finally(() => { this.#beginning = undefined })
    await this.#beginning
  }

  async #begin (): Promise<void> {
    this.cursor.value = undefined
    this.completeSinceMs.value = Infinity
    const wantedMs = this.#deps.now() - BUCKETS * BUCKET_MS
    try {
      for (let page = 0; page < FIRST_PAGES && this.completeSinceMs.value > wantedMs; page++) await this.loadOlder()
    } catch {
      this.cursor.value = null
      this.completeSinceMs.value = this.#deps.now()
    }
  }

  /** Loads missions that started before the ones already loaded. */
  async loadOlder (): Promise<void> {
    const cursor = this.cursor.peek()
    if (cursor === null) return
    const { missions, nextCursor } = await this.#list(cursor === undefined ? {} : { cursor })
    this.cursor.value = nextCursor
    // Lists are ordered by start. Only a mission that started before the page and ended after its time may be missing.
    const oldest = missions.at(-1)?.startedAt ?? 0
    this.completeSinceMs.value = nextCursor === null ? 0 : Math.min(this.completeSinceMs.peek(), oldest)
  }

  /** Loads the matches that the service has for a search. */
  async search (q: string): Promise<void> {
    await this.#list({ q: q.slice(0, MAX_SEARCH) })
  }

  /** Loads one mission with its tasks, statuses and notes. Returns whether the service or the page knows it. */
  async load (id: string): Promise<boolean> {
    const { missions, client, now } = this.#deps
    try {
      const update = await client().request<'mission_get'>({ type: 'mission_get', missionId: id })
      missions.apply(update, now(), true)
      missions.get(id)?.addDetails(update)
      missions.publish()
      return true
    } catch {
      return missions.get(id) !== undefined
    }
  }

  async #list (query: { cursor?: string, q?: string }) {
    const { missions, client, now } = this.#deps
    const request = { type: 'mission_list' as const, query: { limit: PAGE_SIZE, ...query } }
    const page = await client().request<'mission_list'>(request)
    missions.add(page.missions, now())
    missions.publish()
    return page
  }
}
