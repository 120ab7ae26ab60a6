import type { Mission } from 'fastify-mission-control'
import { Fields } from './fields.js'
import { parseJson, type JsonDocument } from './json.js'
import { RecordedFailure, TraceError, type Stage, type TraceFormat, type TraceMission } from './trace.js'

const CONCLUSIONS = ['success', 'failure', 'cancelled', 'skipped'] as const
type Conclusion = (typeof CONCLUSIONS)[number]

/**
 * Jobs of a CI service. Each job becomes a mission that starts at `created_at`, executes from `started_at` and ends at
 * `completed_at`. Each step becomes a task with its recorded times. A failed or cancelled step throws, and the next
 * step follows, as in the CI service. A skipped step only reports progress. Each step that ran to its end is also an
 * operation.
 *
 * A skipped job did not succeed and did not fail, so its mission is cancelled with the reason `skipped`. The trace does
 * not contain the times of cancel requests: a job is cancelled at its recorded end.
 */
export const ciJobs: TraceFormat = {
  name: 'ci-jobs',
  mapping: {
    success: 'returns: completed',
    failure: 'throws step_failed: error',
    cancelled: 'is cancelled with the reason "cancelled" and throws: cancelled',
    skipped: 'runs nothing, is cancelled with the reason "skipped" and throws: cancelled'
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
interface Job {
  id: string
  line: number
  name: string
  conclusion: Conclusion
  createdAt: number
  startedAt: number
  endedAt: number
  steps: Step[]
}

// The clocks of the service disagree: some jobs start before their creation, some steps before their job.
function readJob (job: unknown, { lineOf }: JsonDocument): Job {
  const fields = new Fields(job, lineOf(job))
  const started = fields.date('started_at')
  const steps = fields.list('steps').map((step) => readStep(new Fields(step, lineOf(step, job))))
  steps.sort((a, b) => a.startedAt - b.startedAt)
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
    // Steps must not exceed the end of the mission.
    steps: steps.map((step) => ({
      ...step,
      startedAt: Math.min(endedAt, step.startedAt),
      endedAt: Math.min(endedAt, step.endedAt)
    }))
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
  // Subscribers must not see the start of a job that never started.
  if (conclusion !== 'skipped') await runSteps(steps, mission, stage)
  await stage.until(endedAt)
  if (conclusion === 'failure') throw new RecordedFailure('step_failed', `Failed step: ${nameFailed(steps)}`)
  if (conclusion === 'success') return
  mission.cancel({ kind: conclusion === 'skipped' ? 'skipped' : 'request', reason: conclusion, by: 'ci' })
  mission.signal.throwIfAborted()
}

const nameFailed = (steps: Step[]): string =>
  steps.find(({ conclusion }) => conclusion === 'failure')?.name ?? 'unknown'

async function runSteps (steps: Step[], mission: Mission, stage: Stage): Promise<void> {
  mission.tasksGenerated(steps.map(({ name }) => name))
  mission.planned()
  mission.executionStarted()
  for (const [position, step] of steps.entries()) {
    await stage.until(step.startedAt)
    // Numbered, because two steps of a job may have equal names.
    const taskId = `${position + 1} ${step.name}`
    const progress = { taskId, index: position + 1, total: steps.length }
    if (step.conclusion === 'skipped') mission.progress({ ...progress, status: 'skipped' })
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

// A failed step fails its job at the end only, because clean-up steps still follow.
function passRecordedFailure (err: unknown): void {
  if (!(err instanceof RecordedFailure)) throw err
}
