import { batch, signal } from '@preact/signals-core'
import type { ClientMissionState } from '../../../client/index.js'
import type { MissionView } from '../../../../schemas/mission.js'
import { Entry, toText } from './entry.js'
import { fromState, fromView, phaseOf, type Mission, type Phase } from './mission.js'

export interface Counts extends Record<Phase, number> {
  stalled: number
}

/** Ended missions that are kept while they arrive; the visitor can load older ones up to `MAX_LOADED`. */
export const MAX_ENDED = 2_000
export const MAX_LOADED = 10_000

/**
 * The missions of the page: all active ones and the latest that have ended. `version` changes when a mission is added
 * or removed, or when something changes that missions are sorted, filtered or counted by; progress alone does not.
 */
export class Missions {
  readonly version = signal(0)
  readonly counts = signal<Counts>({ active: 0, completed: 0, cancelled: 0, error: 0, stalled: 0 })
  /** The tenant whose missions are shown; `''` for all. */
  readonly tenant = signal('')
  readonly #entries = new Map<string, Entry>()
  /** Ids of ended missions, oldest ending first, followed by missions that were loaded later. */
  readonly #ended = new Set<string>()
  readonly #older = new Set<string>()
  #isChanged = false

  get size (): number {
    return this.#entries.size
  }

  get (id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  /** The missions of the chosen tenant, or all of them. */
  all (): Iterable<Entry> {
    const tenant = this.tenant.peek()
    const entries = this.#entries.values()
    return tenant === '' ? entries : [...entries].filter(({ mission }) => mission.peek().tenant === tenant)
  }

  /** The tenants of all missions; `undefined` stands for missions without one. */
  tenants (): Set<string | undefined> {
    return new Set([...this.#entries.values()].map(({ mission }) => mission.peek().tenant))
  }

  /** Shows the missions of one tenant alone, or with `''` those of all. */
  choose (tenant: string): void {
    if (this.tenant.peek() === tenant) return
    this.#isChanged = true
    batch(() => {
      this.tenant.value = tenant
      this.publish()
    })
  }

  /**
   * Takes a new state of a mission, and returns it if its phase has changed. A snapshot is no news.
   */
  apply (state: ClientMissionState, nowMs: number, isSnapshot: boolean): Mission | undefined {
    const entry = this.#entries.get(state.missionId)
    const known = entry?.mission.peek()
    if (entry !== undefined && known !== undefined && isProgressOnly(state, known)) {
      entry.seenAt = nowMs
      entry.progress.value = state.progress
      if (!isSnapshot) entry.addProgress(state.progress!, nowMs)
      return undefined
    }
    const mission = fromState(state, known, nowMs)
    this.#put(mission, entry, state.progress, nowMs)
    const current = this.#entries.get(mission.id)
    if (current !== undefined && mission.cancel !== undefined) current.stopSeenAt ??= nowMs
    if (!isSnapshot && current !== undefined) {
      current.addStatus(mission, known, nowMs)
      current.addStep(nowMs, stepText(mission, known))
      if (state.progress !== undefined) current.addProgress(state.progress, nowMs)
    }
    return known?.phase === mission.phase ? undefined : mission
  }

  /** Adds missions from a list reply. Missions that are already known are newer and stay unchanged. */
  add (views: readonly MissionView[], nowMs: number): void {
    for (const view of [...views].sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))) {
      const known = this.#entries.get(view.id)
      if (known !== undefined) this.#enrich(known, view)
      else if (this.size < MAX_LOADED || phaseOf(view.status) === 'active') this.#addOld(view, nowMs)
    }
  }

  remove (id: string): void {
    this.#ended.delete(id)
    this.#older.delete(id)
    if (this.#entries.delete(id)) this.#isChanged = true
  }

  /** Publishes the changes since the last call. Call it once per frame. */
  publish (): void {
    if (!this.#isChanged) return
    this.#isChanged = false
    batch(() => {
      this.counts.value = this.#count()
      this.version.value++
    })
  }

  #put (mission: Mission, entry: Entry | undefined, progress: ClientMissionState['progress'], nowMs: number): void {
    const { id, phase } = mission
    this.#isChanged = true
    if (entry === undefined) this.#entries.set(id, new Entry(mission, progress, nowMs))
    else {
      batch(() => {
        entry.mission.value = mission
        entry.progress.value = progress
      })
      entry.seenAt = nowMs
    }
    this.#ended.delete(id)
    this.#older.delete(id)
    if (phase !== 'active') this.#ended.add(id)
    this.#trim()
  }

  #addOld (view: MissionView, nowMs: number): void {
    const entry = new Entry(fromView(view), view.progress ?? undefined, nowMs)
    this.#entries.set(view.id, entry)
    if (phaseOf(view.status) !== 'active') this.#older.add(view.id)
    this.#isChanged = true
  }

  // Messages before the page was opened may have named the process, the notes and the attempts.
  #enrich (entry: Entry, view: MissionView): void {
    const known = entry.mission.peek()
    const { instance } = fromView(view)
    const { notes, attempts } = known.notes.length === 0 ? view : known
    if (known.instance === instance && known.notes === notes) return
    entry.mission.value = { ...known, instance, notes, attempts }
    this.#isChanged = true
  }

  #trim (): void {
    while (this.#ended.size > MAX_ENDED) this.remove(this.#ended.values().next().value!)
    while (this.#older.size > 0 && this.size > MAX_LOADED) this.remove(this.#older.values().next().value!)
  }

  #count (): Counts {
    const counts: Counts = { active: 0, completed: 0, cancelled: 0, error: 0, stalled: 0 }
    for (const { mission } of this.all()) {
      const { phase, isStalled } = mission.peek()
      counts[phase]++
      if (phase === 'active' && isStalled) counts.stalled++
    }
    return counts
  }
}

/** Whether only the progress can be news in a state. */
function isProgressOnly (state: ClientMissionState, known: Mission): boolean {
  return (
    state.progress !== undefined &&
    state.status === 'execution_progress' &&
    known.status === state.status &&
    (state.attempt ?? 1) === known.attempt &&
    (state.stalled === true) === known.isStalled &&
    state.waiting === known.waiting &&
    state.cancel === known.cancel &&
    state.error === known.error &&
    (state.note === undefined ||
      known.notes.some(({ at, text }) => at === state.note!.at && text === state.note!.text))
  )
}

function stepText (mission: Mission, known: Mission | undefined): string {
  const { status, attempt, waiting, cancel, isStalled } = mission
  if (known !== undefined && known.attempt !== attempt) return `attempt ${attempt} started`
  if (known?.status !== status) return toText(status)
  if (cancel !== undefined && known.cancel === undefined) return `stop requested (${cancel.kind})`
  if (isStalled && !known.isStalled) return 'stalled'
  if (!isStalled && known.isStalled) return 'active again'
  if (waiting !== undefined && waiting !== known.waiting) return `waits: ${waiting}`
  const note = mission.notes.at(-1)
  if (note !== undefined && note !== known.notes.at(-1)) return `note: ${note.text}`
  return toText(status)
}
