import type { MissionStatus, ReportDetails } from 'fastify-mission-control'
import { isTerminal } from 'fastify-mission-control/schemas'
import { at, text, time, whole } from './payload.js'

// No run has this many attempts; a higher number is a mistake of the sender.
const attemptOf = (work: unknown): number => Math.min(whole(work, 'run_attempt') ?? 1, 1_000_000)

/** The arguments of one call of `missions.report`, followed by `missions.note` if there is a note. */
export interface Call { id: string, status: MissionStatus, details: ReportDetails, note?: string | undefined }

type Mapping = (payload: unknown, now: number) => Call[]

type State = [status: MissionStatus, details?: ReportDetails]

const failed = (code: string): State => ['error', { error: { code, message: `GitHub reports ${code}` } }]

/** The report for each status, conclusion, state and reason of GitHub. */
const STATES = new Map<unknown, State>(Object.entries<State>({
  requested: ['planning_started', { waiting: 'for its turn' }],
  pending: ['planning_started', { waiting: 'for its turn' }],
  queued: ['planning_started', { waiting: 'for a runner' }],
  waiting: ['planning_started', { waiting: 'for an approval' }],
  in_progress: ['execution_started'],
  step: ['execution_progress'],
  success: ['completed'],
  neutral: ['completed'],
  merged: ['completed'],
  failure: failed('failure'),
  error: failed('error'),
  startup_failure: failed('startup_failure'),
  action_required: failed('action_required'),
  unknown: failed('unknown'),
  cancelled: ['cancelled', { kind: 'request' }],
  dequeued: ['cancelled', { kind: 'request' }],
  skipped: ['cancelled', { kind: 'skipped' }],
  timed_out: ['cancelled', { kind: 'timeout' }],
  stale: ['cancelled', { kind: 'timeout', reason: 'incomplete for 14 days' }],
  invalidated: ['cancelled', { kind: 'superseded' }]
}))

/**
 * For each kind of mission: the object in the payload, and the fields of this object that contain the name and the
 * times of queueing, start and end. The `created_at` of a run is that of its first attempt. A merge group has no end
 * time.
 */
const KINDS = {
  run: ['workflow_run', 'name', 'run_started_at', 'run_started_at', 'updated_at'],
  job: ['workflow_job', 'name', 'created_at', 'started_at', 'completed_at'],
  check: ['check_run', 'name', 'started_at', 'started_at', 'completed_at'],
  suite: ['check_suite', 'app.name', 'created_at', 'created_at', 'updated_at'],
  deployment: ['deployment', 'environment', 'created_at', 'created_at', 'updated_at'],
  merge: ['merge_group', 'head_ref', 'head_commit.timestamp', 'head_commit.timestamp', '']
} as const

const MAX_CHARACTERS = 128
/** GitHub does not repeat a delivery that failed, so the time-out ends a mission whose end was lost. */
const TIMEOUT_MS = 14 * 86_400_000

function idOf (kind: keyof typeof KINDS, key: number | string | undefined): string | undefined {
  return key === undefined ? undefined : `github:${kind}:${key}`.slice(0, MAX_CHARACTERS)
}

/** Reads the state of the work, not the action of the event, because events arrive in any order. */
function stateOf (work: unknown): string | undefined {
  const [status, conclusion] = [text(work, 'status'), text(work, 'conclusion')]
  return status !== 'completed' ? status : STATES.has(conclusion) ? conclusion : 'unknown'
}

interface Extra extends ReportDetails { state?: string | undefined, note?: string | undefined }

/** Returns the report of the work in a payload, with its state or `extra.state`. */
function report (kind: keyof typeof KINDS, payload: unknown, now: number, extra: Extra = {}): Call[] {
  const [path, name, queued, started, ended] = KINDS[kind]
  const work = at(payload, path)
  const { state = stateOf(work), note, ...details } = extra
  const id = idOf(kind, kind === 'merge' ? text(work, 'head_sha') : whole(work, 'id'))
  const [status, outcome] = STATES.get(state) ?? []
  if (id === undefined || status === undefined) return []
  // Times in the future or in the wrong order would throw: GitHub's clock may be ahead of ours, and a skipped job
  // starts after its end.
  const endedAt = Math.min(time(work, ended) ?? now, now)
  const startedAt = Math.min(time(work, started) ?? endedAt, endedAt)
  const queuedAt = Math.min(time(work, queued) ?? startedAt, startedAt)
  return [{
    id,
    status,
    note,
    details: {
      name: text(work, name) ?? id,
      tags: ['github', kind],
      timeoutMs: TIMEOUT_MS,
      metadata: { repository: text(payload, 'repository.full_name'), url: text(work, 'html_url') },
      queuedAt,
      ...(status === 'planning_started' ? {} : { startedAt }),
      ...(isTerminal(status) ? { endedAt } : {}),
      ...outcome,
      ...details
    }
  }]
}

function run (payload: unknown, now: number, note?: string): Call[] {
  const work = at(payload, 'workflow_run')
  return report('run', payload, now, {
    attempt: attemptOf(work),
    parentId: text(work, 'event') === 'merge_group' ? idOf('merge', text(work, 'head_sha')) : undefined,
    // On GitHub, the run of a first-time contributor has the status `completed` until a maintainer approves it.
    state: text(work, 'conclusion') === 'action_required' ? 'waiting' : stateOf(work),
    note
  })
}

function job (payload: unknown, now: number): Call[] {
  const work = at(payload, 'workflow_job')
  const attempt = attemptOf(work)
  const parentId = idOf('run', whole(work, 'run_id'))
  const steps = at(work, 'steps')
  const progress = (Array.isArray(steps) ? steps : []).map((step, index, { length }) => ({
    taskId: text(step, 'name') ?? `step ${index + 1}`,
    index: index + 1,
    total: length,
    status: text(step, 'conclusion') ?? text(step, 'status') ?? 'queued'
  })).filter(({ status }) => status !== 'queued')
  return [
    ...progress.flatMap((progress) => report('job', payload, now, { state: 'step', attempt, parentId, progress })),
    ...report('job', payload, now, { attempt, parentId })
  ]
}

/** GitHub Actions also sends each job as a check run and each workflow run as a check suite. Both are ignored. */
const isWorkflow = (payload: unknown, path: string): boolean => text(payload, `${path}.app.slug`) === 'github-actions'

function check (payload: unknown, now: number): Call[] {
  if (isWorkflow(payload, 'check_run')) return []
  return report('check', payload, now, { parentId: idOf('suite', whole(payload, 'check_run.check_suite.id')) })
}

function suite (payload: unknown, now: number): Call[] {
  return isWorkflow(payload, 'check_suite') ? [] : report('suite', payload, now)
}

/** The state `inactive` follows `success` much later and is ignored, because it is not in `STATES`. */
function deployment (payload: unknown, now: number, state = 'pending', note?: string): Call[] {
  return report('deployment', payload, now, { state, note, parentId: idOf('run', whole(payload, 'workflow_run.id')) })
}

function mergeGroup (payload: unknown, now: number): Call[] {
  const reason = text(payload, 'reason')
  const state = text(payload, 'action') !== 'destroyed' ? 'in_progress' : STATES.has(reason) ? reason : 'unknown'
  return report('merge', payload, now, { state })
}

const about = (payload: unknown, what: string): string =>
  `${what} ${text(payload, 'action') ?? ''}: ${text(payload, 'environment') ?? ''}`.slice(0, MAX_CHARACTERS)

/** Events that describe a moment, or work that another event describes in more detail. */
const IGNORED = `branch_protection_rule code_scanning_alert commit_comment create delete dependabot_alert deploy_key
  discussion discussion_comment fork github_app_authorization gollum installation installation_repositories
  issue_comment issues label marketplace_purchase member membership meta milestone org_block organization package
  page_build ping project project_card project_column projects_v2_item public pull_request pull_request_review
  pull_request_review_comment pull_request_review_thread push release repository repository_dispatch repository_import
  repository_vulnerability_alert security_advisory sponsorship star status team team_add watch workflow_dispatch`

/** Maps each event to reports, which depend only on the payload and the current time. */
export const EVENTS: ReadonlyMap<unknown, Mapping> = new Map<string, Mapping>([
  ['workflow_run', run],
  ['workflow_job', job],
  ['check_run', check],
  ['check_suite', suite],
  ['deployment', deployment],
  ['deployment_status', (payload, now) => deployment(payload, now, text(payload, 'deployment_status.state'))],
  ['deployment_protection_rule', (payload, now) => deployment(payload, now, 'waiting', about(payload, 'protection'))],
  ['deployment_review', (payload, now) => run(payload, now, about(payload, 'approval'))],
  ['merge_group', mergeGroup],
  ...IGNORED.split(/\s+/).map((name): [string, Mapping] => [name, () => []])
])
