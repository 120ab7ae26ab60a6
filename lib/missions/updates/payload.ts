import type { MissionUpdate } from '../../../schemas/channels/mission-update.js'
import type { MissionError } from '../../../schemas/mission.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { MissionDetails, MissionStep } from '../types.js'
import type { Mission } from '../mission.js'
import { cutCharacters, PREVIEW_CHARACTERS, cutText, copyError, copyJson, UNSERIALIZABLE, type Truncated } from './json-copy.js'

type MissionOptions = ResolvedOptions['missions']
type SerializerName = keyof MissionOptions['serializers']

/** Room for what the wire puts around a payload; the name and the version of the server are most of it. */
const ENVELOPE_BYTES = 3_072
/** As many as the longest objective that a mission can be started with takes. */
const MAX_OBJECTIVE_BYTES = 8_192

/**
 * Turns what hosts say into what viewers see: the host's serializers first, then our bounds. Nothing in here throws; what
 * cannot be shown becomes a placeholder.
 */
export class Payloads {
  readonly #options: MissionOptions
  readonly #onCallbackError: (where: string, err: unknown) => void

  constructor (options: MissionOptions, onCallbackError: (where: string, err: unknown) => void) {
    this.#options = options
    this.#onCallbackError = onCallbackError
  }

  error (thrown: unknown): MissionError {
    return copyError(this.#serialize('error', thrown))
  }

  objective (objective: string): string {
    const shown = this.#serialize('objective', objective)
    return typeof shown === 'string' ? cutText(shown, MAX_OBJECTIVE_BYTES) : '[unserializable]'
  }

  /** `known` with what was added; what cannot be read leaves a mark, and costs nothing that was known. */
  metadata (known: unknown, added: unknown): unknown {
    const { maxMetadataBytes } = this.#options
    if (known === null) return asRecord(copyJson(added, maxMetadataBytes))
    const copy = copyJson(added, Infinity)
    return copyJson({ ...asRecord(known), ...asRecord(copy) }, maxMetadataBytes)
  }

  /** The details of a report as viewers see them. */
  details ({ tasksSummary, planningSession, ...rest }: MissionDetails): MissionDetails {
    const shown: MissionDetails = rest
    if (tasksSummary !== undefined) shown.tasksSummary = this.#tasks(tasksSummary)
    if (planningSession !== undefined) shown.planningSession = this.#plan(planningSession)
    return shown
  }

  /** The payload of the `mission_update` for a change that has just been made, of which `step` holds what viewers see. Calls nothing of the host. */
  update (mission: Mission, step: MissionStep): MissionUpdate {
    const { outcome, cancelState, lastProgress, waitingReason, error } = mission
    const seq = mission.nextSeq()
    return this.#fit({
      missionId: mission.id,
      status: mission.status,
      name: mission.name,
      seq,
      ...(step.previousStatus !== undefined && { previousStatus: step.previousStatus }),
      ...(mission.tags.length > 0 && { tags: [...mission.tags] }),
      ...(seq === 1 && { startedAt: mission.startedAt }),
      ...(seq === 1 && mission.parentId !== null && { parentId: mission.parentId }),
      ...(seq === 1 && mission.objective !== null && { objective: mission.objective }),
      ...(step.tasksSummary !== undefined && { tasksSummary: step.tasksSummary }),
      ...(step.planningSession !== undefined && { planningSession: step.planningSession }),
      ...(step.tellsMetadata === true && { metadata: mission.metadata }),
      ...(lastProgress !== null && (mission.status === 'execution_progress' || step.progress !== undefined) && { progress: { ...lastProgress } }),
      ...(error !== null && { error }),
      ...(cancelState !== null && (step.tellsCancel === true || outcome !== undefined) && { cancel: cancelState }),
      ...(mission.isStalled && { stalled: true }),
      ...(waitingReason !== null && { waiting: waitingReason }),
      ...(mission.endedAt !== null && { endedAt: mission.endedAt }),
      ...(outcome !== undefined && { durationMs: outcome.durationMs })
    })
  }

  #plan (plan: unknown): unknown {
    return copyJson(this.#serialize('planningSession', plan), this.#options.maxPlanBytes)
  }

  #tasks (tasks: unknown): unknown {
    const { maxTaskBytes, maxTasksInline } = this.#options
    const snapshot = (task: unknown) => copyJson(this.#serialize('task', task), maxTaskBytes)
    if (!Array.isArray(tasks)) return snapshot(tasks)
    const inline = tasks.slice(0, maxTasksInline).map(snapshot)
    return tasks.length > maxTasksInline ? [...inline, { truncated: true, count: tasks.length - maxTasksInline }] : inline
  }

  // What a serializer throws is the host's to see, not the viewers'.
  #serialize (name: SerializerName, value: unknown): unknown {
    const serializer = this.#options.serializers[name]
    if (serializer === undefined) return value
    try {
      return serializer(value)
    } catch (err) {
      this.#onCallbackError(`serializer.${name}`, err)
      return UNSERIALIZABLE
    }
  }

  // Only the plan, the tasks and the metadata can make a message large; all else is bounded by its schema.
  #fit (update: MissionUpdate): MissionUpdate {
    for (const part of ['planningSession', 'tasksSummary', 'metadata'] as const) {
      if (update[part] === undefined) continue
      const bytes = Buffer.byteLength(JSON.stringify(update))
      if (bytes <= this.#options.maxMessageBytes - ENVELOPE_BYTES) return update
      const text = JSON.stringify(update[part])
      update[part] = { truncated: true, bytes: Buffer.byteLength(text), preview: cutCharacters(text, PREVIEW_CHARACTERS) } satisfies Truncated
    }
    return update
  }
}

const asRecord = (value: unknown): object => typeof value === 'object' && value !== null ? value : {}
