import type { HealthSnapshot } from '../../../../schemas/health.js'
import type { CancelKind, MissionError, MissionTotals, TerminalStatus } from '../../../../schemas/mission.js'

/** An ended mission, as the rules read it. */
export interface EndedFact {
  readonly id: string
  readonly name: string
  readonly status: TerminalStatus
  readonly durationMs: number
  readonly error: MissionError | null
  readonly cancelKind: CancelKind | undefined
  /** When it ended, in ms of the monotonic clock. */
  readonly at: number
}

/** An active mission, as the rules read it. Times are in ms since 1970. */
export interface ActiveFact {
  readonly id: string
  readonly name: string
  readonly startedAt: number
  /** For a stalled mission, when it stalled. */
  readonly updatedAt: number
  readonly isStalled: boolean
  readonly waiting: string | null
}

/** The durations of the missions of one name, in ms. */
export interface NameFacts {
  readonly count: number
  readonly p95Ms: number
}

/** A duration that is far from the others of its name. `p95Ms` and `score` are compared with those before it. */
export interface DurationFact {
  readonly id: string
  readonly name: string
  readonly durationMs: number
  readonly p95Ms: number
  readonly score: number
  readonly samples: number
}

/** Failed missions with the same error. `key` identifies the error without its numbers and ids. */
export interface ErrorGroup {
  readonly key: string
  readonly code: string
  readonly message: string
  readonly missions: readonly EndedFact[]
}

/** The missions of one tenant, or of all, at the time of an evaluation. */
export interface MissionFacts {
  readonly totals: MissionTotals
  /** Active missions that are not stalled. */
  readonly load: number
  /** The missions that ended within the window, oldest first; at most 200. */
  readonly recent: readonly EndedFact[]
  /** Stalled missions, in the order in which they stalled; a bounded number. */
  readonly stalled: readonly ActiveFact[]
  /** Missions that are not stalled, oldest first; a bounded number. */
  readonly oldest: readonly ActiveFact[]
  readonly names: ReadonlyMap<string, NameFacts>
  /** The durations since the last evaluation that are far from the others of their name. */
  readonly outliers: readonly DurationFact[]
  readonly errorGroups: readonly ErrorGroup[]
  /** The load 15, 10, 5 and 0 minutes ago; fewer values if it was not observed for so long. */
  readonly loads: readonly number[]
  /** The time since the last ending; `undefined` before the first one. */
  readonly sinceEndingMs: number | undefined
  /** The median time between two endings; `undefined` if too few have ended. */
  readonly medianGapMs: number | undefined
  /** How many endings the median is from. */
  readonly gaps: number
}

/** How a process gets along. */
export interface ProcessFacts {
  readonly eventLoopDelayMs: number
  /** Clients that were disconnected within the window, because they read too slowly. */
  readonly slowConsumers: number
}

/** One of the processes of the service. */
export interface ProcessFact {
  /** Its name, if there are several. */
  readonly instance: string | undefined
  /** `undefined` for a process that is alive, but has not reported lately. */
  readonly facts: ProcessFacts | undefined
}

/** One operation of the host. Times are in ms, and count only while anything is reported. */
export interface OperationFact {
  readonly component: string
  readonly operation: string
  /** In how many evaluations it was reported. */
  readonly reports: number
  /** The time since the last report, and the longest one before. */
  readonly silentMs: number
  readonly longestSilentMs: number
  /** The mean duration of the last reports, how many different ones there were, and since when it is the same. */
  readonly meanMs: number
  readonly means: number
  readonly unchangedMs: number
}

/** The input of all rules, read at the same time. */
export interface AlertFacts {
  /** In ms since 1970. */
  readonly now: number
  readonly missions: MissionFacts
  readonly health: HealthSnapshot
  /** The processes with clients; `undefined` if none is known, and for a tenant. */
  readonly processes: readonly ProcessFact[] | undefined
  /** Empty for a tenant. */
  readonly operations: readonly OperationFact[]
}
