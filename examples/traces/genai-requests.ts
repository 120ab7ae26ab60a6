import type { FastifyInstance } from 'fastify'
import { readRows } from './csv.js'
import { Fields } from './fields.js'
import type { TraceEvent, TraceFormat } from './trace.js'

const COLUMNS = [
  'gmt_create', 'predict_type', 'predict_status', 'exec_time_seconds', 'groupId', 'prompt_length', 'negative_prompt_length',
  'num_images_per_prompt', 'num_inference_steps', 'checkpoint_model_version_id', 'num_lora'
]

/**
 * Requests of a generative-AI service, one a row: a request = a mission named after its kind, its tenant the group it came from, its
 * inference steps = its tasks. It starts at `gmt_create` (UTC) and ends `exec_time_seconds` later, as `completed` or as `error`;
 * one that is `PENDING` is only planned for ever, one that is `PROCESSING` runs for ever. Each ended one is also an operation.
 */
export const genaiRequests: TraceFormat = {
  name: 'genai-requests',
  recognises: (text) => text.startsWith('gmt_create,'),
  read: (text) => [...readRows(text, COLUMNS)].flatMap(readRequest)
}

interface Request {
  id: string
  kind: string
  status: 'SUCCEED' | 'FAILED' | 'PENDING' | 'PROCESSING'
  durationMs: number
  steps: number
  tenant: string
  model: string | null
}

function readRequest (row: Fields): TraceEvent[] {
  const request: Request = {
    id: `request-${row.line}`,
    kind: row.text('predict_type'),
    status: row.word('predict_status', ['SUCCEED', 'FAILED', 'PENDING', 'PROCESSING']),
    durationMs: row.amount('exec_time_seconds') * 1_000,
    // A request that failed before it was planned has no step count: the whole of it is one task then.
    steps: row.isEmpty('num_inference_steps') ? 1 : row.amount('num_inference_steps'),
    tenant: row.text('groupId'),
    model: row.isEmpty('checkpoint_model_version_id') ? null : row.text('checkpoint_model_version_id')
  }
  const start = { at: readTime(row), run: (app: FastifyInstance) => startRequest(app, request) }
  const end = { at: start.at + request.durationMs, run: (app: FastifyInstance) => endRequest(app, request) }
  return request.status === 'SUCCEED' || request.status === 'FAILED' ? [start, end] : [start]
}

// `2024-11-15 16:57:50` would be taken as local time as it stands.
function readTime (row: Fields): number {
  const text = row.text('gmt_create')
  return new Fields({ gmt_create: `${text.replace(' ', 'T')}Z` }, row.line).date('gmt_create')
}

function startRequest (app: FastifyInstance, { id, kind, status, steps, tenant, model }: Request): void {
  const mission = app.missions.start({ id, name: kind, tenant, metadata: { model } })
  mission.tasksGenerated({ total: steps })
  mission.planned()
  if (status === 'PENDING') return
  mission.executionStarted()
}

function endRequest (app: FastifyInstance, { id, kind, status, durationMs, steps }: Request): void {
  const isSuccess = status === 'SUCCEED'
  app.monitoring.trackOperation({ component: 'genai', operation: kind, status: isSuccess ? 'success' : 'error', durationMs })
  if (isSuccess) {
    app.missions.report(id, 'execution_progress', { progress: { taskId: 'inference', index: steps, total: steps, status: 'completed' } })
    app.missions.report(id, 'completed')
  } else {
    app.missions.report(id, 'error', { error: { code: 'generation_failed', message: 'The service reported FAILED' } })
  }
}
