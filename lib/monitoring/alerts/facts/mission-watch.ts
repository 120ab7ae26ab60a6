import type {
  CancelKind, MissionError, MissionStatus, MissionTotals, TerminalStatus
} from '../../../../schemas/mission.js'
import type { AlertTime } from '../lifecycle/alert-entry.js'
import type { ActiveFact, DurationFact, EndedFact, MissionFacts } from './alert-facts.js'
import { groupErrors } from './error-groups.js'
import { LoadSamples } from './load-samples.js'
import { middleOf, NameDurations } from './name-durations.js'

/** An ended mission as its source keeps it. `at` is when this process learned of it, in ms of the monotonic clock. */
export interface EndedSource {
  readonly at: number
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly endedAt: number | null
  readonly durationMs: number | null
  readonly error: MissionError | null
  readonly cancel: { readonly kind: CancelKind } | null
}

/** The missions of one tenant, or of all, as the service keeps them. */
export interface MissionSource {
  totals (): MissionTotals
  /** The active missions, oldest first. */
  active (): Iterable<ActiveFact>
  /** The missions that ended after a given one, oldest first, as far as they are kept; without it, all of them. */
  endedAfter (last: object | undefined): readonly EndedSource[]
}

/** The window of the rules about endings. */
const WINDOW_MS = 900_000
const MAX_RECENT = 200
/** How many active missions are read at most; the oldest ones matter most. */
const MAX_READ = 10_000
const MAX_LISTED = 1_000
const MAX_OLDEST = 100
/** A median of fewer gaps says nothing. */
const LEAST_GAPS = 5

/**
 * Reads the facts about missions from where they are kept, once for each evaluation. Nothing is counted a second time,
 * and a report costs nothing here.
 */
export class MissionWatch {
  readonly #source: MissionSource
  readonly #durations = new NameDurations()
  readonly #loads = new LoadSamples()
  /** The last endings, oldest first. */
  #recent: EndedFact[] = []
  #last: EndedSource | undefined
  #medianGapMs: number | undefined

  constructor (source: MissionSource) {
    this.#source = source
  }

  read (time: AlertTime): MissionFacts {
    const { at } = time
    const outliers = this.#takeEndings(time)
    const totals = this.#source.totals()
    const load = Math.max(0, totals.active - totals.stalled)
    this.#loads.add(at, load)
    const lastEnding = this.#recent.at(-1)
    const recent = this.#recent.filter((ended) => at - ended.at < WINDOW_MS)
    return {
      totals,
      load,
      recent,
      ...this.#readActive(totals.stalled > 0),
      names: this.#durations.read(),
      outliers,
      errorGroups: groupErrors(recent),
      loads: this.#loads.read(at),
      sinceEndingMs: lastEnding && at - lastEnding.at,
      medianGapMs: this.#medianGapMs,
      gaps: Math.max(0, this.#recent.length - 1)
    }
  }

  // The first call reads what was stored before.
  #takeEndings (time: AlertTime): DurationFact[] {
    const isFirst = this.#last === undefined
    const ended = this.#source.endedAfter(this.#last)
    const outliers = ended.flatMap((mission) => {
      const fact = factOf(mission, time)
      this.#recent.push(fact)
      return this.#durations.add(fact) ?? []
    })
    this.#last = ended.at(-1) ?? this.#last
    if (ended.length > 0) {
      this.#recent = this.#recent.slice(-MAX_RECENT)
      this.#medianGapMs = medianGapOf(this.#recent)
    }
    return isFirst ? [] : outliers
  }

  #readActive (hasStalled: boolean): Pick<MissionFacts, 'stalled' | 'oldest'> {
    const stalled: ActiveFact[] = []
    const oldest: ActiveFact[] = []
    let read = 0
    for (const mission of this.#source.active()) {
      if (++read > MAX_READ || (!hasStalled && oldest.length === MAX_OLDEST)) break
      if (mission.isStalled) {
        if (stalled.length < MAX_LISTED) stalled.push(mission)
      } else if (oldest.length < MAX_OLDEST) oldest.push(mission)
    }
    return { stalled: stalled.sort((a, b) => a.updatedAt - b.updatedAt), oldest }
  }
}

// An ending that was reported late, or that another process has left, was earlier than this process learned of it.
function factOf (mission: EndedSource, { now, at }: AlertTime): EndedFact {
  const { id, name, error, cancel, endedAt } = mission
  const status = mission.status as TerminalStatus
  return {
    id,
    name,
    status,
    durationMs: Number(mission.durationMs),
    error,
    cancelKind: status === 'cancelled' ? cancel?.kind : undefined,
    at: Math.min(mission.at, at - (now - Number(endedAt)))
  }
}

function medianGapOf (ended: readonly EndedFact[]): number | undefined {
  if (ended.length <= LEAST_GAPS) return undefined
  return middleOf(ended.slice(1).map((one, index) => Math.max(0, one.at - ended[index]!.at)).sort((a, b) => a - b))
}
