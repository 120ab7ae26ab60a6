import type { Mission } from 'fastify-mission-control'
import { Fields } from './fields.js'
import { parseJson, type JsonDocument } from './json.js'
import { RecordedFailure, TraceError, type Stage, type TraceFormat, type TraceMission } from './trace.js'

const CONCLUSIONS = ['success', 'failure', 'cancelled', 'skipped'] as const
type Conclusion = (typeof CONCLUSIONS)[number]

/**
 * Jobs of a CI service: a job = a mission from `created_at` (queued) over `started_at` (execution) to `completed_at`. Each of its steps
 * is a task that begins and ends at its own times; one that failed or was cancelled throws, and like there the next step follows all
 * the same. A step that was skipped never ran, so that only its progress is told. Each step that ran to an end is also an operation.
 *
 * A job that was skipped was called off before it ran. It neither worked nor failed, so it is cancelled; the reason tells it apart. The
 * trace does not say when somebody asked for the end of a job: it is asked to end when it did.
 */
export const ciJobs: TraceFormat = {
  name: 'ci-jobs',
  mapping: {
    success: 'its work returns: completed',
    failure: 'its work throws step_failed: error',
    cancelled: 'is asked to end with the reason "cancelled", and its work throws: cancelled',
    skipped: 'runs nothing, is asked to end with the reason "skipped", and its work throws: cancelled'
  },
  recognises: (text) => /^\s*\[/.test(text),
  read (text) {
    const document = parseJson(text)
    const jobs = (document.value as unknown[]).map((job) => readJob(job, document))
    refuseRepeats(jobs)
    return jobs.map(describeJob)
  }
}

interface Step { name: string, conclusion: Conclusion, startedAt: number, endedAt: number }
interface Job { id: string, line: number, name: string, conclusion: Conclusion, createdAt: number, startedAt: number, endedAt: number, steps: Step[] }

// The service's clocks disagree: some jobs start before they exist, some steps before their job.
function readJob (job: unknown, { lineOf }: JsonDocument): Job {
  const fields = new Fields(job, lineOf(job))
  const started = fields.date('started_at')
  const steps = fields.list('steps').map((step) => readStep(new Fields(step, lineOf(step, job)))).sort((a, b) => a.startedAt - b.startedAt)
  const startedAt = Math.min(started, steps[0]?.startedAt ?? started)
  const endedAt = Math.max(startedAt, fields.date('completed_at'))
  return {
    id: `job-${fields.amount('id')}`,
    line: fields.line,
    name: fields.text('name').slice(0, 128),
    conclusion: fields.word('conclusion', CONCLUSIONS),
    createdAt: Math.min(startedAt, fields.date('created_at')),
    startedAt,
    endedAt,
    // Nothing of a mission can happen after its end.
    steps: steps.map((step) => ({ ...step, startedAt: Math.min(endedAt, step.startedAt), endedAt: Math.min(endedAt, step.endedAt) }))
  }
}

function readStep (fields: Fields): Step {
  const startedAt = fields.date('started_at')
  return {
    name: fields.text('name'),
    conclusion: fields.word('conclusion', CONCLUSIONS),
    startedAt,
    endedAt: Math.max(startedAt, fields.date('completed_at'))
  }
}

function refuseRepeats (jobs: Job[]): void {
  const ids = new Set<string>()
  for (const { id, line } of jobs) {
    if (ids.has(id)) throw new TraceError(line, `${id} is in the list twice`)
    ids.add(id)
  }
}

function describeJob (job: Job): TraceMission {
  return {
    init: { id: job.id, name: job.name, tags: ['ci'] },
    startsAt: job.createdAt,
    endsAt: job.endedAt,
    run: (mission, stage) => runJob(job, mission, stage)
  }
}

async function runJob (job: Job, mission: Mission, stage: Stage): Promise<void> {
  const { conclusion, startedAt, endedAt, steps } = job
  await stage.until(startedAt)
  // Viewers must not see a job start that never did.
  if (conclusion !== 'skipped') await runSteps(steps, mission, stage)
  await stage.until(endedAt)
  if (conclusion === 'failure') throw new RecordedFailure('step_failed', `Failed step: ${nameFailed(steps)}`)
  if (conclusion === 'success') return
  mission.cancel({ reason: conclusion, by: 'ci' })
  mission.signal.throwIfAborted()
}

const nameFailed = (steps: Step[]): string => steps.find(({ conclusion }) => conclusion === 'failure')?.name ?? 'unknown'

async function runSteps (steps: Step[], mission: Mission, stage: Stage): Promise<void> {
  mission.tasksGenerated(steps.map(({ name }) => name))
  mission.planned()
  mission.executionStarted()
  for (const [position, step] of steps.entries()) {
    await stage.until(step.startedAt)
    // A number, because two steps of a job may have one name.
    const taskId = `${position + 1} ${step.name}`.slice(0, 128)
    if (step.conclusion === 'skipped') mission.progress({ taskId, index: position + 1, total: steps.length, status: 'skipped' })
    else await mission.task(taskId, () => runStep(step, stage)).catch(passRecordedFailure)
  }
}

async function runStep ({ name, conclusion, endedAt }: Step, { monitoring, until }: Stage): Promise<void> {
  const run = async (): Promise<void> => {
    await until(endedAt)
    if (conclusion === 'failure') throw new RecordedFailure('step_failed', `Failed step: ${name}`)
    if (conclusion === 'cancelled') throw new RecordedFailure('step_cancelled', `Cancelled step: ${name}`)
  }
  await (conclusion === 'cancelled' ? run() : monitoring.time('ci', 'step', run))
}

// A step that failed fails its job, but only at the end: the steps that clean up still follow.
function passRecordedFailure (err: unknown): void {
  if (!(err instanceof RecordedFailure)) throw err
}
