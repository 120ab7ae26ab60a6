import type { Mission, MissionInit, Monitoring } from 'fastify-mission-control'

/** What the work of a recorded mission needs of the replay. */
export interface Stage {
  monitoring: Monitoring
  /**
   * Resolves at a time of the trace, in ms since 1970; at once if it is over, never for `Infinity`.
   *
   * @throws the reason of the mission's signal as soon as that aborts
   */
  until (at: number): Promise<void>
}

/** One recorded mission: when it began and when the last that is known of it happened, in ms since 1970, and work that does it again. */
export interface TraceMission {
  init: MissionInit
  startsAt: number
  endsAt: number
  run (mission: Mission, stage: Stage): Promise<void>
}

/** A kind of recorded trace: `recognises` looks at the start of the text, `read` gives the missions in any order. */
export interface TraceFormat {
  name: string
  /** What becomes of each outcome that the trace knows, a line for each. */
  mapping: Record<string, string>
  recognises (text: string): boolean
  /** @throws TraceError with the line that is wrong */
  read (text: string): TraceMission[]
}

/** What the work of a mission throws where the trace says that something failed; viewers see the code. */
export class RecordedFailure extends Error {
  readonly code: string

  constructor (code: string, message: string) {
    super(message)
    this.name = 'RecordedFailure'
    this.code = code
  }
}

/** A trace that cannot be replayed; `line` counts from 1. */
export class TraceError extends Error {
  readonly line: number

  constructor (line: number, problem: string) {
    super(`line ${line}: ${problem}`)
    this.name = 'TraceError'
    this.line = line
  }
}
