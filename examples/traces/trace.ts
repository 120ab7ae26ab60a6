import type { Mission, MissionInit, Monitoring } from 'fastify-mission-control'

/** The interface of the replay for the function of a recorded mission. */
export interface Stage {
  monitoring: Monitoring
  /**
   * Resolves at a time of the trace in ms since 1970: at once for a past time, never for `Infinity`.
   *
   * @throws the reason of the mission's signal when it aborts
   */
  until (at: number): Promise<void>
}

/** One recorded mission: its start, its last recorded time (both in ms since 1970), and the function to replay it. */
export interface TraceMission {
  init: MissionInit
  startsAt: number
  endsAt: number
  run (mission: Mission, stage: Stage): Promise<void>
}

/** A trace format. `recognises` checks the start of the text. `read` returns the missions in any order. */
export interface TraceFormat {
  name: string
  /** The behaviour of a mission by recorded outcome. */
  mapping: Record<string, string>
  recognises (text: string): boolean
  /** @throws TraceError with the invalid line */
  read (text: string): TraceMission[]
}

/** A recorded failure. Subscribers receive its code. */
export class RecordedFailure extends Error {
  readonly code: string

  constructor (code: string, message: string) {
    super(message)
    this.name = 'RecordedFailure'
    this.code = code
  }
}

/** The trace is invalid. `line` counts from 1. */
export class TraceError extends Error {
  readonly line: number

  constructor (line: number, problem: string) {
    super(`line ${line}: ${problem}`)
    this.name = 'TraceError'
    this.line = line
  }
}
