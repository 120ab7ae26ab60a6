import type { MissionTask } from '../../../../schemas/mission.js'
import type { Clock } from '../../../base/clock.js'
import type { CheckedProgress } from '../../types.js'

/** Tasks kept of one mission; the rest is only counted. */
const MAX_TASKS = 200
/** Up to this many tasks a linear search is used. */
const SEARCHED = 8

/** Words that CI systems, queues and tools use for a task that has ended. docs/missions.md lists them. */
const TASK_END =
  /^(completed?|done|finished|success|succeeded|passed|ok|fail(ed|ure)|error|timed_out|skipped|cancell?ed|neutral)$/

/** Whether a task with this status has ended. It may run again. */
export const isTaskEnd = (status: string): boolean => TASK_END.test(status)

/** An unknown time is `NaN`: numbers from the start, which the engine keeps in less memory. */
interface KeptTask {
  readonly taskId: string
  readonly index: number
  status: string
  readonly startedAt: number
  endedAt: number
}

const isFinished = (status: string): boolean => status === 'completed' || status === 'failed'

/** The tasks of one mission: the first `max` by name, the rest as a number. */
export class Tasks {
  readonly #max: number
  #tasks: KeptTask[] = []
  // Built only for many tasks: searching a few costs less than the memory of a map in every mission.
  #byId: Map<string, KeptTask> | undefined
  #planned = 0
  #highest = 0
  #unkept = 0
  #finished = 0

  constructor (max = MAX_TASKS) {
    this.#max = max
  }

  /** The tasks of a mission as another process has kept them; `undefined` if there are none. */
  static restore (list: readonly MissionTask[], omitted: number): Tasks | undefined {
    if (list.length === 0) return undefined
    const tasks = new Tasks()
    for (const { taskId, index, status, startedAt = NaN, endedAt = NaN } of list) {
      tasks.#keep({ taskId, index, status, startedAt, endedAt })
      if (isFinished(status)) tasks.#finished++
      tasks.#highest = Math.max(tasks.#highest, index)
    }
    tasks.#unkept += omitted
    tasks.#highest = Math.max(tasks.#highest, list.length + omitted)
    return tasks
  }

  /**
   * How many tasks are not kept. Their names are unknown, only how often they were reported and the highest index of
   * all; tasks that share an index count as one.
   */
  get omitted (): number { return Math.min(this.#unkept, Math.max(0, this.#highest - this.#tasks.length)) }

  /** The plan has this many tasks. */
  plan (count: number): void {
    this.#planned = count
  }

  /** Keeps the status that a progress reports for its task; progress of the whole mission belongs to none. */
  note ({ taskId, index, status, kind }: CheckedProgress, clock: Clock): void {
    if (kind === 'overall') return
    const known = this.#find(taskId)
    this.#finished = this.#finishedWith(known, status)
    // A share of a task says nothing about its position.
    const position = kind === 'position' ? index : known?.index ?? this.#next
    if (known !== undefined) change(known, status, clock)
    else if (this.#tasks.length < this.#max) this.#keep(begin(taskId, position, status, clock))
    else this.#unkept++
    this.#highest = Math.max(this.#highest, position)
  }

  /** The index of a task, counted from 1: its own, or the next free one. */
  indexOf (taskId: string): number {
    return this.#find(taskId)?.index ?? this.#next
  }

  /**
   * Which part of the planned tasks is finished once this task has this status; `NaN` without a plan. A task that is
   * not kept counts again when it runs again.
   */
  fractionWith (taskId: string, status: string): number {
    if (this.#planned === 0) return NaN
    const known = this.#find(taskId)
    const isNew = known === undefined && this.#tasks.length < this.#max
    const count = this.#tasks.length + this.omitted + (isNew ? 1 : 0)
    return Math.min(1, this.#finishedWith(known, status) / Math.max(this.#planned, count))
  }

  /** How many tasks are known, at least `index`. */
  total (index: number): number {
    return Math.max(this.#planned, this.#highest, index)
  }

  list (): MissionTask[] {
    return this.#tasks.map(({ taskId, index, status, startedAt, endedAt }) => ({
      taskId,
      index,
      status,
      ...(startedAt >= 0 && { startedAt }),
      ...(endedAt >= 0 && { endedAt })
    }))
  }

  get #next (): number { return Math.min(this.#highest + 1, Number.MAX_SAFE_INTEGER) }

  #finishedWith (known: MissionTask | undefined, status: string): number {
    return this.#finished - (known !== undefined && isFinished(known.status) ? 1 : 0) + (isFinished(status) ? 1 : 0)
  }

  #find (taskId: string): KeptTask | undefined {
    return this.#byId === undefined ? this.#tasks.find((task) => task.taskId === taskId) : this.#byId.get(taskId)
  }

  #keep (task: KeptTask): void {
    // An array that grows by push reserves room for sixteen more entries.
    if (this.#tasks.length < SEARCHED) this.#tasks = this.#tasks.concat(task)
    else this.#tasks.push(task)
    if (this.#byId !== undefined) this.#byId.set(task.taskId, task)
    else if (this.#tasks.length > SEARCHED) this.#byId = new Map(this.#tasks.map((one) => [one.taskId, one]))
  }
}

function begin (taskId: string, index: number, status: string, clock: Clock): KeptTask {
  const startedAt = clock.now()
  return { taskId, index, status, startedAt, endedAt: isTaskEnd(status) ? startedAt : NaN }
}

function change (task: KeptTask, status: string, clock: Clock): void {
  if (task.status === status) return
  if (!isTaskEnd(status)) task.endedAt = NaN
  // Not before its start: the clock may have been set back. Without a start, the end is unknown too.
  else if (!isTaskEnd(task.status)) task.endedAt = Math.max(clock.now(), task.startedAt)
  task.status = status
}
