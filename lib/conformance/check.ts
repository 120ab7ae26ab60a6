import type { Context } from './context.js'

/** One demand on a server: `run` returns when it is met, and throws `Failure` or `Skip` when it is not or cannot be told. */
export interface Check {
  /** In lower case with hyphens; it never changes its meaning. */
  name: string
  /** What is demanded, as one sentence. */
  demands: string
  run (context: Context): Promise<void>
}
