import { signal, type Signal } from '@preact/signals-core'
import type { MissionUpdate } from '../../../../schemas/channels/mission-update.js'
import type { Progress, StatusTime } from '../../../../schemas/mission.js'
import type { Mission } from './mission.js'

/** A step of a mission that this page has seen, or that it has from the service. */
export interface Step {
  readonly at: number
  readonly text: string
}

/** When a task began and ended. `to` is set once it has ended. */
export interface TaskSpan {
  readonly taskId: string
  readonly from: number
  to: number | undefined
  status: string
}

const MAX_STEPS = 100
const MAX_TASKS = 200
// As the service decides it.
const TASK_END =
  /^(completed?|done|finished|success|succeeded|passed|ok|fail(ed|ure)|error|timed_out|skipped|cancell?ed|neutral)$/

/** Whether a task with this status has ended. */
export const isTaskEnd = (status: string): boolean => TASK_END.test(status)

/**
 * One mission of the page. Progress has a signal of its own, so that a frame of progress draws one cell again and not
 * its row.
 */
export class Entry {
  readonly id: string
  readonly mission: Signal<Mission>
  readonly progress: Signal<Progress | undefined>
  steps: Step[] = []
  /** The statuses of the current attempt, as far as they are known. */
  statusTimes: StatusTime[] = []
  readonly tasks = new Map<string, TaskSpan>()
  /** When the page heard of the mission last. */
  seenAt: number
  /** When the page learned of the cancel request. */
  stopSeenAt: number | undefined

  constructor (mission: Mission, progress: Progress | undefined, nowMs: number) {
    this.id = mission.id
    this.mission = signal(mission)
    this.progress = signal(progress)
    this.seenAt = nowMs
  }

  addStep (at: number, text: string): void {
    if (this.steps.at(-1)?.text === text) return
    this.steps.push({ at, text })
    if (this.steps.length > MAX_STEPS) this.steps.shift()
  }

  /** The mission has a new status. */
  addStatus ({ status, attempt }: Mission, known: Mission | undefined, at: number): void {
    if (known?.attempt !== attempt) this.statusTimes = []
    if (this.statusTimes.at(-1)?.status !== status) this.statusTimes = [...this.statusTimes, { status, at }]
  }

  /** Takes the details that the service sends of a single mission. They replace what the page has seen. */
  addDetails ({ statusTimes = this.statusTimes, tasks = [] }: MissionUpdate): void {
    this.statusTimes = statusTimes
    const told = statusTimes.map(({ status, at }) => ({ at, text: toText(status) }))
    const texts = new Set(told.map(({ text }) => text))
    this.steps = [...this.steps.filter(({ text }) => !texts.has(text)), ...told].sort((a, b) => a.at - b.at)
    const seen = [...this.tasks]
    this.tasks.clear()
    for (const { taskId, status, startedAt, endedAt: to } of tasks) {
      if (startedAt === undefined) continue
      const from = to === startedAt ? this.#lastEnd(to) : startedAt
      this.tasks.set(taskId, { taskId, from, to, status })
    }
    for (const [taskId, span] of seen) if (!this.tasks.has(taskId)) this.tasks.set(taskId, span)
    // Steps are drawn with the mission.
    this.mission.value = { ...this.mission.peek() }
  }

  /** Takes the progress of a task into the timeline. */
  addProgress ({ taskId, status }: Progress, at: number): void {
    const hasEnded = isTaskEnd(status)
    const known = this.tasks.get(taskId)
    if (known !== undefined) {
      known.status = status
      known.to = hasEnded ? (known.to ?? at) : undefined
      return
    }
    const from = hasEnded ? this.#lastEnd(at) : at
    if (this.tasks.size < MAX_TASKS) this.tasks.set(taskId, { taskId, from, to: hasEnded ? at : undefined, status })
  }

  // A task that is reported only once it has ended began where the one before it ended.
  #lastEnd (at: number): number {
    return Math.min(at, [...this.tasks.values()].at(-1)?.to ?? this.mission.peek().startedAt)
  }
}

/** A status as a step. */
export const toText = (status: string): string => status.replaceAll('_', ' ')
