import type { FastifyInstance } from 'fastify'
import { Fields } from './fields.js'
import { parseJson, type JsonDocument } from './json.js'
import { TraceError, type TraceEvent, type TraceFormat } from './trace.js'

const CONCLUSIONS = ['success', 'failure', 'cancelled', 'skipped'] as const
type Conclusion = (typeof CONCLUSIONS)[number]

/**
 * Jobs of a CI service: a job = a mission from `created_at` (queued) over `started_at` (execution) to `completed_at`, its steps = its
 * tasks. `success` ends as `completed`, `failure` as `error`, `cancelled` as `cancelled`; so does `skipped`: such a job was called off
 * before it ran, and neither worked nor failed. Each step that ran to an end is also an operation.
 */
export const ciJobs: TraceFormat = {
  name: 'ci-jobs',
  recognises: (text) => /^\s*\[/.test(text),
  read (text) {
    const document = parseJson(text)
    const jobs = (document.value as unknown[]).map((job) => readJob(job, document))
    refuseRepeats(jobs)
    return jobs.flatMap(jobEvents)
  }
}

interface Step { name: string, conclusion: Conclusion, startedAt: number, endedAt: number }
interface Job { id: string, line: number, name: string, conclusion: Conclusion, createdAt: number, startedAt: number, endedAt: number, steps: Step[] }

// The service's clocks disagree by seconds: some jobs start before they exist, some steps before their job.
function readJob (job: unknown, { lineOf }: JsonDocument): Job {
  const fields = new Fields(job, lineOf(job))
  const startedAt = fields.date('started_at')
  const endedAt = Math.max(startedAt, fields.date('completed_at'))
  const steps = fields.list('steps').map((step) => readStep(new Fields(step, lineOf(step, job)), startedAt, endedAt))
  return {
    id: `job-${fields.amount('id')}`,
    line: fields.line,
    name: fields.text('name').slice(0, 128),
    conclusion: fields.word('conclusion', CONCLUSIONS),
    createdAt: Math.min(startedAt, fields.date('created_at')),
    startedAt,
    endedAt,
    steps: steps.sort((a, b) => a.startedAt - b.startedAt)
  }
}

function readStep (fields: Fields, earliest: number, latest: number): Step {
  const clamp = (at: number) => Math.min(latest, Math.max(earliest, at))
  const startedAt = clamp(fields.date('started_at'))
  return {
    name: fields.text('name').slice(0, 128),
    conclusion: fields.word('conclusion', CONCLUSIONS),
    startedAt,
    endedAt: Math.max(startedAt, clamp(fields.date('completed_at')))
  }
}

function refuseRepeats (jobs: Job[]): void {
  const ids = new Set<string>()
  for (const { id, line } of jobs) {
    if (ids.has(id)) throw new TraceError(line, `${id} is in the list twice`)
    ids.add(id)
  }
}

function jobEvents (job: Job): TraceEvent[] {
  return [
    { at: job.createdAt, run: (app) => { app.missions.start({ id: job.id, name: job.name, tags: ['ci'] }) } },
    { at: job.startedAt, run: (app) => startJob(app, job) },
    ...job.steps.flatMap((step, at) => stepEvents(job, step, at + 1)),
    { at: job.endedAt, run: (app) => endJob(app, job) }
  ]
}

// A job that was skipped never runs: its viewers must not see it start.
function startJob (app: FastifyInstance, { id, conclusion, steps }: Job): void {
  if (conclusion === 'skipped') return
  app.missions.report(id, 'tasks_generated', { tasksSummary: steps.map(({ name }) => name) })
  app.missions.report(id, 'planned')
  app.missions.report(id, 'execution_started')
}

function stepEvents (job: Job, step: Step, index: number): TraceEvent[] {
  const report = (app: FastifyInstance, status: string): void => {
    app.missions.report(job.id, 'execution_progress', { progress: { taskId: step.name, index, total: job.steps.length, status } })
  }
  return [
    { at: step.startedAt, run: (app) => report(app, 'running') },
    {
      at: step.endedAt,
      run (app) {
        report(app, step.conclusion)
        trackStep(app, step)
      }
    }
  ]
}

function trackStep (app: FastifyInstance, { conclusion, startedAt, endedAt }: Step): void {
  if (conclusion !== 'success' && conclusion !== 'failure') return
  const status = conclusion === 'success' ? 'success' : 'error'
  app.monitoring.trackOperation({ component: 'ci', operation: 'step', status, durationMs: endedAt - startedAt })
}

function endJob (app: FastifyInstance, { id, conclusion, steps }: Job): void {
  if (conclusion === 'success') {
    app.missions.report(id, 'completed')
  } else if (conclusion === 'failure') {
    const failed = steps.find((step) => step.conclusion === 'failure')?.name ?? 'unknown'
    app.missions.report(id, 'error', { error: { code: 'step_failed', message: `Failed step: ${failed}` } })
  } else {
    app.missions.report(id, 'cancelled')
  }
}
