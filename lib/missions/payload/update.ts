import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { CancelState, MissionError, MissionNote, MissionStatus, Progress } from '../../../schemas/mission.js'
import type { AttemptHistory, KeptProgress, MissionStep } from '../types.js'

/** The parts of a mission that updates are made from; kept endings have them too. */
export interface UpdateSource {
  readonly id: string
  readonly name: string
  readonly status: MissionStatus
  readonly seq: number
  /** The number of the first update of this attempt. */
  readonly firstSeq: number
  readonly attempt: number
  readonly tenant: string | null
  readonly history: AttemptHistory
  readonly tags: readonly string[]
  readonly tagsOmitted: number
  /** The parent, if it is of the same tenant. */
  readonly shownParentId: string | null
  readonly objective: string | null
  readonly queuedAt: number | null
  readonly startedAt: number
  readonly endedAt: number | null
  readonly durationMs: number | null
  readonly metadata: unknown
  readonly progress: KeptProgress | null
  readonly error: MissionError | null
  readonly cancel: CancelState | null
  readonly isStalled: boolean
  readonly waiting: string | null
  readonly notes: { list (): MissionNote[] } | undefined
  readonly statusBeforeEnd: MissionStatus | undefined
}

/** The parts that can make a message large, in the order in which they are cut; the others are bounded by schema. */
export const LARGE_PARTS = ['planningSession', 'tasksSummary', 'metadata'] as const

/**
 * The one place where a mission takes its shape on the wire. Without `step` it is a snapshot: everything a subscriber
 * needs who has received no earlier update. With `step` it is one change; the first update of an attempt also has what
 * rarely changes.
 */
export function toUpdate (mission: UpdateSource, step?: MissionStep): MissionUpdate {
  const { id, status, name, seq, tags, error, waiting, endedAt, durationMs } = mission
  const update: MissionUpdate = { missionId: id, status, name, seq }
  const previousStatus = step === undefined ? mission.statusBeforeEnd : step.previousStatus
  if (previousStatus !== undefined) update.previousStatus = previousStatus
  if (mission.attempt > 1) update.attempt = mission.attempt
  if (tags.length > 0) update.tags = [...tags]
  if (mission.tagsOmitted > 0) update.tagsOmitted = mission.tagsOmitted
  if (step === undefined || seq === mission.firstSeq) addIdentity(update, mission)
  else if (step.includesOrigin === true) addOrigin(update, mission)
  if (step?.tasksSummary !== undefined) update.tasksSummary = step.tasksSummary
  if (step?.planningSession !== undefined) update.planningSession = step.planningSession
  addChanges(update, mission, step)
  if (error !== null) addError(update, error)
  if (mission.isStalled) update.stalled = true
  if (waiting !== null) update.waiting = waiting
  if (endedAt !== null) update.endedAt = endedAt
  if (durationMs !== null) update.durationMs = durationMs
  if (step?.note !== undefined) update.note = step.note
  if (step === undefined) addHistory(update, mission)
  return update
}

/** Progress as watchers see it. */
export function copyProgress ({ taskId, index, total, status, fraction }: KeptProgress): Progress {
  // Not NaN.
  return fraction >= 0 ? { taskId, index, total, status, fraction } : { taskId, index, total, status }
}

export function hasLargeParts (update: MissionUpdate): boolean {
  for (const part of LARGE_PARTS) if (update[part] !== undefined) return true
  return false
}

// Text on the wire, so that a client can show it as it is.
function addError (update: MissionUpdate, { code, message, causes }: MissionError): void {
  update.error = message
  update.errorCode = code
  if (causes !== undefined) update.errorCauses = [...causes]
}

function addIdentity (update: MissionUpdate, mission: UpdateSource): void {
  addOrigin(update, mission)
  if (mission.objective !== null) update.objective = mission.objective
  if (mission.tenant !== null) update.tenant = mission.tenant
}

function addOrigin (update: MissionUpdate, { queuedAt, startedAt, shownParentId }: UpdateSource): void {
  if (queuedAt !== null) update.queuedAt = queuedAt
  update.startedAt = startedAt
  if (shownParentId !== null) update.parentId = shownParentId
}

function addHistory (update: MissionUpdate, { history, notes }: UpdateSource): void {
  if (history.attempts.length > 0) update.attempts = [...history.attempts]
  if (notes !== undefined) update.notes = notes.list()
  update.snapshot = true
}

function addChanges (update: MissionUpdate, mission: UpdateSource, step?: MissionStep): void {
  const { metadata, progress, cancel, status, endedAt } = mission
  const isSnapshot = step === undefined
  const isLast = endedAt !== null
  const hasMetadata = isSnapshot || step.includesMetadata === true || mission.seq === mission.firstSeq
  // Progress can be replaced, so a watcher of the ending may have missed the last one.
  const hasProgress = isSnapshot || isLast || status === 'execution_progress' || step.includesProgress === true
  if (metadata !== null && hasMetadata) update.metadata = structuredClone(metadata)
  if (progress !== null && hasProgress) update.progress = copyProgress(progress)
  if (cancel !== null && (isSnapshot || isLast || step.includesCancel === true)) update.cancel = cancel
}
