import type { MissionSubject } from '../../../schemas/access.js'
import type { MissionView } from '../../../schemas/mission.js'
import type { EndedMission } from './ended-mission.js'
import type { UpdateSource } from './update.js'

/** What queries and channels read of a mission, whichever process it runs in. */
export interface ListedMission extends UpdateSource {
  readonly tenant: string | null
  readonly parentId: string | null
  readonly isTerminal: boolean
  readonly isCancelRequested: boolean
  readonly updatedAt: number
  /** The process that runs it; `null` if there is only one. */
  readonly instance: string | null
  /** Orders missions by their start. */
  readonly number: number
  readonly subject: MissionSubject
  view (): MissionView
  /** How it has ended, to be kept. `at` is in ms of the monotonic clock; `subject` only if it must be kept too. */
  toEnded (at: number, subject: MissionSubject | undefined): EndedMission
}
