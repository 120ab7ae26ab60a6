import type { FastifyInstance } from 'fastify'
// The import brings the types of `app.missions` and `app.monitoring`.
import type {} from 'fastify-mission-control'

/** One thing that happened: when, in ms since 1970, and how it is reported to the plugin. */
export interface TraceEvent { at: number, run (app: FastifyInstance): void }

/** A kind of recorded trace: `recognises` looks at the start of the text, `read` gives the events in any order. */
export interface TraceFormat {
  name: string
  recognises (text: string): boolean
  /** @throws TraceError with the line that is wrong */
  read (text: string): TraceEvent[]
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
