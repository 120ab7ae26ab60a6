import type { Mission } from 'fastify-mission-control'
import { Fields } from './fields.js'
import { parseJson } from './json.js'
import { RecordedFailure, type Stage, type TraceFormat, type TraceMission } from './trace.js'

const SUCCESS = 'submitted'

/**
 * One run of a coding agent becomes one mission. Its steps become consecutive tasks of `execution_time_seconds` each.
 * The file has no dates, so the run starts in 1970. The thoughts of the agent become the plan. They are untrusted and
 * may have any length: the plugin truncates them to fit into a message.
 */
export const codingAgentRun: TraceFormat = {
  name: 'coding-agent-run',
  mapping: {
    submitted: 'returns after its last step: completed',
    'any other exit_status': 'throws not_submitted after its last step: error'
  },
  recognises: (text) => /^\s*\{/.test(text),
  read (text) {
    const { value, lineOf } = parseJson(text)
    const run = new Fields(value, lineOf(value))
    const steps = run.list('trajectory').map((step) => readStep(new Fields(step, lineOf(step, value))))
    const { info } = value as { info?: unknown }
    return [describeRun(steps, new Fields(info, lineOf(info, value)).text('exit_status'))]
  }
}

interface Step { action: string, thought: string, durationMs: number }

function readStep (fields: Fields): Step {
  return {
    action: fields.text('action'),
    thought: fields.text('thought'),
    durationMs: fields.amount('execution_time_seconds') * 1_000
  }
}

function describeRun (steps: Step[], exitStatus: string): TraceMission {
  return {
    init: { id: 'coding-agent-run', name: 'coding agent', tags: ['agent'] },
    startsAt: 0,
    endsAt: steps.reduce((sum, { durationMs }) => sum + durationMs, 0),
    run: (mission, stage) => runAgent(steps, exitStatus, mission, stage)
  }
}

async function runAgent (steps: Step[], exitStatus: string, mission: Mission, stage: Stage): Promise<void> {
  mission.tasksGenerated(steps.map(({ action }) => action))
  mission.planned({ thoughts: steps.map(({ thought }) => thought) })
  mission.executionStarted()
  let endsAt = 0
  for (const [position, { durationMs }] of steps.entries()) {
    endsAt += durationMs
    await mission.task(`step-${position + 1}`, () => stage.monitoring.time('agent', 'step', () => stage.until(endsAt)))
  }
  if (exitStatus !== SUCCESS) throw new RecordedFailure('not_submitted', `The agent stopped: ${exitStatus}`)
}
