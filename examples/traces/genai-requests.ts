import type { Mission } from 'fastify-mission-control'
import { readRows } from './csv.js'
import { Fields } from './fields.js'
import { RecordedFailure, type Stage, type TraceFormat, type TraceMission } from './trace.js'

const COLUMNS = [
  'gmt_create', 'predict_type', 'predict_status', 'exec_time_seconds', 'groupId', 'prompt_length',
  'negative_prompt_length', 'num_images_per_prompt', 'num_inference_steps', 'checkpoint_model_version_id', 'num_lora'
]

/**
 * Requests of a generative-AI service, one per row. Each request becomes a mission whose name is the kind of the
 * request and whose tenant is its group. It starts at `gmt_create` (UTC) and has one task of `exec_time_seconds`. The
 * trace has no times of inference steps, so their number becomes the task summary. Each generation is also an
 * operation.
 */
export const genaiRequests: TraceFormat = {
  name: 'genai-requests',
  mapping: {
    SUCCEED: 'returns after its duration: completed',
    FAILED: 'throws generation_failed after its duration: error',
    PENDING: 'is planned and never starts: stalls without activity',
    PROCESSING: 'starts and never ends: stalls without activity'
  },
  recognises: (text) => text.startsWith('gmt_create,'),
  read: (text) => [...readRows(text, COLUMNS)].map(readRequest)
}

interface Request {
  kind: string
  status: 'SUCCEED' | 'FAILED' | 'PENDING' | 'PROCESSING'
  steps: number
  /** End of the generation, or `Infinity` if it never ends. */
  endsAt: number
}

function readRequest (row: Fields): TraceMission {
  const status = row.word('predict_status', ['SUCCEED', 'FAILED', 'PENDING', 'PROCESSING'])
  const startsAt = readTime(row)
  const isEnded = status === 'SUCCEED' || status === 'FAILED'
  const endsAt = startsAt + row.amount('exec_time_seconds') * 1_000
  const request: Request = {
    kind: row.text('predict_type'),
    status,
    // A request that failed before it was planned has no step count and counts as one step.
    steps: row.isEmpty('num_inference_steps') ? 1 : row.amount('num_inference_steps'),
    endsAt: isEnded ? endsAt : Infinity
  }
  const model = row.isEmpty('checkpoint_model_version_id') ? null : row.text('checkpoint_model_version_id')
  return {
    init: { id: `request-${row.line}`, name: request.kind, tenant: row.text('groupId'), metadata: { model } },
    startsAt,
    endsAt: isEnded ? endsAt : startsAt,
    run: (mission, stage) => runRequest(request, mission, stage)
  }
}

// Date.parse reads `2024-11-15 16:57:50` as local time.
function readTime (row: Fields): number {
  const text = row.text('gmt_create')
  return new Fields({ gmt_create: `${text.replace(' ', 'T')}Z` }, row.line).date('gmt_create')
}

async function runRequest (request: Request, mission: Mission, stage: Stage): Promise<void> {
  mission.tasksGenerated({ total: request.steps })
  mission.planned()
  if (request.status === 'PENDING') await stage.until(Infinity)
  mission.executionStarted()
  await mission.task('inference', () => stage.monitoring.time('genai', request.kind, () => generate(request, stage)))
}

async function generate ({ status, endsAt }: Request, stage: Stage): Promise<void> {
  await stage.until(endsAt)
  if (status === 'FAILED') throw new RecordedFailure('generation_failed', 'The service reported FAILED')
}
