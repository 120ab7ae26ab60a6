import type { MissionView } from '../../../schemas/mission.js'
import { copyProgress } from '../payload/update.js'
import type { MissionFields } from './mission-fields.js'
import { listStatusTimes } from './parts/status-times.js'

/** A copy of everything known about a mission. */
export function toView (mission: MissionFields): MissionView {
  const { history, tasks, notes, progress, error, cancel } = mission
  return {
    id: mission.id,
    name: mission.name,
    objective: mission.objective,
    tags: [...mission.tags],
    tagsOmitted: mission.tagsOmitted,
    metadata: structuredClone(mission.metadata),
    tenant: mission.tenant,
    parentId: mission.parentId,
    instance: mission.instance,
    status: mission.status,
    seq: mission.seq,
    attempt: mission.attempt,
    attempts: history.attempts.map((attempt) => ({ ...attempt })),
    attemptsOmitted: history.omitted,
    queuedAt: mission.queuedAt,
    startedAt: mission.startedAt,
    updatedAt: mission.updatedAt,
    endedAt: mission.endedAt,
    durationMs: mission.durationMs,
    progress: progress && copyProgress(progress),
    error: error && structuredClone(error),
    cancel: cancel && { ...cancel },
    stalled: mission.isStalled,
    waiting: mission.waiting,
    tasks: tasks?.list() ?? [],
    tasksOmitted: tasks?.omitted ?? 0,
    notes: notes?.list() ?? [],
    notesOmitted: notes?.omitted ?? 0,
    statusTimes: listStatusTimes(mission),
    lateOutcome: mission.lateOutcome
  }
}
