import { signal, type Signal } from '@preact/signals-core'
import type { Progress } from '../../../../schemas/mission.js'
import type { Mission } from './mission.js'

/** A step of a mission that this page has seen, or that it knows from the times of the mission. */
export interface Step {
  readonly at: number
  readonly text: string
}

/** When this page saw a task first and last. `to` is set once the task has ended. */
export interface TaskSpan {
  readonly taskId: string
  readonly from: number
  to: number | undefined
  status: string
}

const MAX_STEPS = 100
const MAX_TASKS = 200
const ENDED_TASK = /^(completed|complete|done|failed|error|skipped|cancelled)$/

/**
 * One mission of the page. Progress has a signal of its own, so that a frame of progress draws one cell again and not
 * its row.
 */
export class Entry {
  readonly id: string
  readonly mission: Signal<Mission>
  readonly progress: Signal<Progress | undefined>
  readonly steps: Step[] = []
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

  /** Takes the progress of a task into the timeline. */
  addProgress ({ taskId, status }: Progress, at: number): void {
    const hasEnded = ENDED_TASK.test(status)
    const known = this.tasks.get(taskId)
    if (known !== undefined) {
      known.status = status
      known.to = hasEnded ? (known.to ?? at) : undefined
      return
    }
    // A task that is reported only once it has ended began where the one before it ended.
    const before = [...this.tasks.values()].at(-1)
    const from = hasEnded ? (before?.to ?? this.mission.peek().startedAt) : at
    if (this.tasks.size < MAX_TASKS) this.tasks.set(taskId, { taskId, from, to: hasEnded ? at : undefined, status })
  }
}
