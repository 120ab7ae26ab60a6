/** A task with one of these statuses has ended. In a file of its own, so that a page loads no schemas for it. */
const TASK_END = /^(?:completed?|done|failed|error|skipped|cancelled)$/

/** Whether a task with this status has ended. It may run again. */
export const isTaskEnd = (status: string): boolean => TASK_END.test(status)
