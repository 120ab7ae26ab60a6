import type { CheckContext } from './context.js'

/** One requirement for a server. */
export interface Check {
  /** Lower case with hyphens; the meaning of a name never changes. */
  name: string
  /** The requirement as one sentence. */
  demands: string
  /** Throws `Failure` if the server violates the requirement, and `Skip` if that cannot be determined. */
  run (context: CheckContext): Promise<void>
}
