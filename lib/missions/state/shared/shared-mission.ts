import type { MissionSubject } from '../../../../schemas/access.js'
import type { MissionCopy } from '../../../../schemas/cluster/mission-copy.js'
import {
  isTerminal, type CancelState, type MissionError, type MissionNote, type MissionStatus, type MissionTask,
  type MissionView, type TerminalStatus
} from '../../../../schemas/mission.js'
import type { MissionHeader, StoredMission } from '../../../backplane/contract.js'
import type { EndedMission } from '../../payload/ended-mission.js'
import { copyProgress, type UpdateSource } from '../../payload/update.js'
import type { AttemptHistory, KeptProgress, MissionOutcome } from '../../types.js'
import { listStatusTimes, type Reached } from '../parts/status-times.js'
import { readEndedAt, readMissionCopy, readReached } from './mission-copy.js'
import { SharedEnding } from './shared-ending.js'

const NO_LIST: readonly never[] = Object.freeze([])

/** Whether the id of a parent may be shown to a tenant. */
export type ShowsParent = (parentId: string, tenant: string | null) => boolean

/** Stands in for a state that cannot be read. */
const UNREADABLE: MissionCopy = Object.freeze({ name: 'unreadable', startedAt: 0, updatedAt: 0 })

/**
 * One attempt of a mission as the shared log knows it, whichever process it runs in. Many are kept, so its state stays
 * text until somebody reads it.
 */
export class SharedMission implements UpdateSource {
  readonly id: string
  readonly tenant: string | null
  readonly attempt: number
  /** The position of its start in the log, which orders missions by their start. */
  readonly number: number
  status: MissionStatus
  seq: number
  owner: string
  /** Whether it ends with the process that owns it. */
  isRun: boolean
  /** The sequence of its last entry in the log. */
  sequence: number
  offset: number
  tenantOffset: number
  /** Both are kept here for the list of ended missions, which would need several objects for each otherwise. */
  isListed = false
  forgetAt = 0
  #text: string
  #copy: MissionCopy | undefined
  #subject: MissionSubject | undefined
  readonly showsParent: ShowsParent

  constructor (stored: StoredMission, showsParent: ShowsParent) {
    const { id, tenant, attempt, startedAt, status, seq, owner, isRun, sequence, offset, tenantOffset, state } = stored
    this.id = id
    this.tenant = tenant
    this.attempt = attempt
    this.number = startedAt
    this.status = status
    this.seq = seq
    this.owner = owner
    this.isRun = isRun
    this.sequence = sequence
    this.offset = offset
    this.tenantOffset = tenantOffset
    this.#text = state
    this.showsParent = showsParent
  }

  /** Takes over the next entry of the log; an empty `state` changes only what the log itself knows. */
  change ({ status, seq, owner, isRun, sequence, offset, tenantOffset }: MissionHeader, state: string): void {
    this.status = status
    this.seq = seq
    // Not a copy of the same text.
    if (owner !== this.owner) this.owner = owner
    this.isRun = isRun
    this.sequence = sequence
    if (offset > 0) this.offset = offset
    if (tenantOffset > 0) this.tenantOffset = tenantOffset
    if (state === '') return
    this.#text = state
    this.#copy = undefined
  }

  get isTerminal (): boolean { return isTerminal(this.status) }
  get instance (): string { return this.owner }
  get firstSeq (): number { return 0 }
  get name (): string { return this.copy.name }
  get objective (): string | null { return this.copy.objective ?? null }
  get tags (): readonly string[] { return this.copy.tags ?? NO_LIST }
  get tagsOmitted (): number { return this.copy.tagsOmitted ?? 0 }
  get timeoutMs (): number | undefined { return this.copy.timeoutMs }
  get metadata (): unknown { return this.copy.metadata ?? null }
  get startMetadata (): unknown {
    const { startMetadata, metadata = null } = this.copy
    return startMetadata === undefined ? metadata : startMetadata
  }

  get parentId (): string | null { return this.copy.parentId ?? null }
  get shownParentId (): string | null {
    const { parentId } = this
    return parentId !== null && this.showsParent(parentId, this.tenant) ? parentId : null
  }

  get queuedAt (): number | null { return this.copy.queuedAt ?? null }
  get startedAt (): number { return this.copy.startedAt }
  get updatedAt (): number { return this.copy.updatedAt }
  get endedAt (): number | null { return this.copy.endedAt ?? null }
  get durationMs (): number | null { return this.copy.durationMs ?? null }
  get progress (): KeptProgress | null {
    const { progress } = this.copy
    return progress === undefined ? null : { fraction: NaN, ...progress }
  }

  get error (): MissionError | null { return this.copy.error ?? null }
  get cancel (): CancelState | null { return this.copy.cancel ?? null }
  get isCancelRequested (): boolean { return this.copy.isCancelRequested === true }
  // Asked for each entry of the log, and rarely true.
  get isStalled (): boolean {
    return this.#text.includes('"stalled":true') && this.copy.stalled === true && !this.isTerminal
  }

  get waiting (): string | null { return this.copy.waiting ?? null }
  get statusBeforeEnd (): MissionStatus | undefined { return this.copy.statusBeforeEnd }
  get reached (): Reached { return readReached(this.copy) }
  get lateOutcome (): TerminalStatus | null { return this.copy.lateOutcome ?? null }
  get taskList (): readonly MissionTask[] { return this.copy.tasks ?? NO_LIST }
  get tasksOmitted (): number { return this.copy.tasksOmitted ?? 0 }
  get noteList (): readonly MissionNote[] { return this.copy.notes ?? NO_LIST }
  get notesOmitted (): number { return this.copy.notesOmitted ?? 0 }
  get notes (): { list (): MissionNote[] } | undefined {
    const { notes } = this.copy
    return notes && { list: () => structuredClone(notes) }
  }

  get history (): AttemptHistory {
    const { attempts = NO_LIST, attemptsOmitted: omitted = 0 } = this.copy
    return { attempts, omitted }
  }

  /** How many attempts have ended, this one included. */
  get ended (): number { return this.history.attempts.length + this.history.omitted + 1 }

  /** Only of a mission that has ended. */
  get outcome (): MissionOutcome {
    const { id, attempt, error, cancel, durationMs } = this
    const status = this.status as TerminalStatus
    return Object.freeze({ id, attempt, status, error, cancel, durationMs: Number(durationMs) })
  }

  /** What the host decides by whether somebody may see it; always the same object. */
  get subject (): MissionSubject {
    const { id, name, tenant, tags, startMetadata: metadata } = this
    return (this.#subject ??= Object.freeze({ id, name, tenant, tags, metadata }))
  }

  toEnded (at: number, subject: MissionSubject | undefined): EndedMission { return new SharedEnding(this, at, subject) }

  /** A copy of everything known about the mission. */
  view (): MissionView {
    const { history, progress } = this
    return structuredClone({
      id: this.id,
      name: this.name,
      objective: this.objective,
      tags: [...this.tags],
      tagsOmitted: this.tagsOmitted,
      metadata: this.metadata,
      tenant: this.tenant,
      parentId: this.parentId,
      instance: this.instance,
      status: this.status,
      seq: this.seq,
      attempt: this.attempt,
      attempts: [...history.attempts],
      attemptsOmitted: history.omitted,
      queuedAt: this.queuedAt,
      startedAt: this.startedAt,
      updatedAt: this.updatedAt,
      endedAt: this.endedAt,
      durationMs: this.durationMs,
      progress: progress && copyProgress(progress),
      error: this.error,
      cancel: this.cancel,
      stalled: this.isStalled,
      waiting: this.waiting,
      tasks: [...this.taskList],
      tasksOmitted: this.tasksOmitted,
      notes: [...this.noteList],
      notesOmitted: this.notesOmitted,
      statusTimes: listStatusTimes(this),
      lateOutcome: this.lateOutcome
    })
  }

  /**
   * Everything that the log does not know itself. Not to be changed. Of an ended mission the text is kept alone:
   * thousands of them are rarely read.
   */
  get copy (): MissionCopy {
    if (this.#copy !== undefined) return this.#copy
    if (this.isTerminal) return readEnded(this.#text)
    return (this.#copy = readMissionCopy(this.#text) ?? UNREADABLE)
  }

  /** Like `endedAt`, without reading the whole state. */
  readEndedAt (): number | null { return readEndedAt(this.#text) }

  /** Whether the log knows exactly this state. */
  hasState (text: string): boolean { return this.#text === text }
}

// Many values of one ended mission are read in a row.
let last: { readonly text: string, readonly copy: MissionCopy } = { text: '', copy: UNREADABLE }

function readEnded (text: string): MissionCopy {
  if (last.text !== text) last = { text, copy: readMissionCopy(text) ?? UNREADABLE }
  return last.copy
}
