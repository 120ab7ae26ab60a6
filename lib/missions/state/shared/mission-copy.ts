import { MissionCopy } from '../../../../schemas/cluster/mission-copy.js'
import type { CancelState } from '../../../../schemas/mission.js'
import { compile } from '../../../base/validation.js'
import { copyProgress } from '../../payload/update.js'
import type { MissionFields } from '../mission-fields.js'
import { isReached, type Reached } from '../parts/status-times.js'

const isMissionCopy = compile(MissionCopy)

/**
 * Everything that other processes need of a mission; see `MissionCopy`. `isEnding`: it is stored with the ending. A
 * mission that has ended since then is stored as one that was asked to end, not as one that was forced to.
 */
export function toMissionCopy (mission: MissionFields, isEnding: boolean): MissionCopy {
  const { name, startedAt, updatedAt, endedAt, objective, tags, tagsOmitted } = mission
  const { metadata, startMetadata, parentId } = mission
  const copy: MissionCopy = { name, startedAt, updatedAt }
  if (endedAt !== null) copy.endedAt = endedAt
  if (objective !== null) copy.objective = objective
  if (tags.length > 0) copy.tags = tags as string[]
  if (tagsOmitted > 0) copy.tagsOmitted = tagsOmitted
  if (metadata !== null) copy.metadata = metadata
  if (startMetadata !== metadata) copy.startMetadata = startMetadata
  if (parentId !== null) copy.parentId = parentId
  if (mission.timeoutMs !== undefined) copy.timeoutMs = mission.timeoutMs
  if (mission.queuedAt !== null) copy.queuedAt = mission.queuedAt
  if (mission.isStalled) copy.stalled = true
  if (mission.waiting !== null) copy.waiting = mission.waiting
  addOutcome(copy, mission, isEnding)
  addLists(copy, mission)
  return copy
}

/** Reads a copy that another process has written as JSON; `undefined` if it is broken. */
export function readMissionCopy (text: string): MissionCopy | undefined {
  try {
    const copy: unknown = JSON.parse(text)
    return isMissionCopy(copy) ? copy : undefined
  } catch {
    return undefined
  }
}

// Before everything that a host chooses, except for the name.
const BEGINNING = /^\{"name":"(?:[^"\\]|\\.)*","startedAt":-?\d{1,16},"updatedAt":-?\d{1,16},"endedAt":(-?\d{1,16}),/

/** Reads only the time of the end from a copy as JSON: a process does so for each ended mission when it starts. */
export function readEndedAt (text: string): number | null {
  const [, endedAt] = BEGINNING.exec(text) ?? []
  return endedAt === undefined ? readMissionCopy(text)?.endedAt ?? null : Number(endedAt)
}

/** The statuses of a copy with their times; `undefined` also if they are broken. */
export function readReached ({ reached, startedAt }: MissionCopy): Reached {
  if (reached === undefined || !isReached(reached)) return undefined
  return reached.map((value, index) => index % 2 === 0 ? value : value + startedAt)
}

function addOutcome (copy: MissionCopy, mission: MissionFields, isEnding: boolean): void {
  const { progress, error, cancel, startedAt, durationMs, statusBeforeEnd, reached, lateOutcome } = mission
  if (progress !== null) copy.progress = copyProgress(progress)
  if (error !== null) copy.error = error
  if (cancel !== null) copy.cancel = isEnding ? cancel : requested(cancel)
  if (mission.isCancelRequested) copy.isCancelRequested = true
  if (durationMs !== null) copy.durationMs = durationMs
  if (statusBeforeEnd !== undefined) copy.statusBeforeEnd = statusBeforeEnd
  if (reached !== undefined) copy.reached = reached.map((value, index) => index % 2 === 0 ? value : value - startedAt)
  if (lateOutcome !== null) copy.lateOutcome = lateOutcome
}

const requested = ({ forced, ...cancel }: CancelState): CancelState => cancel

function addLists (copy: MissionCopy, { tasks, notes, history }: MissionFields): void {
  if (tasks !== undefined) copy.tasks = tasks.list()
  if (tasks !== undefined && tasks.omitted > 0) copy.tasksOmitted = tasks.omitted
  if (notes !== undefined) copy.notes = notes.list()
  if (notes !== undefined && notes.omitted > 0) copy.notesOmitted = notes.omitted
  if (history.attempts.length > 0) copy.attempts = [...history.attempts]
  if (history.omitted > 0) copy.attemptsOmitted = history.omitted
}
