import type { FastifyInstance } from 'fastify'
import { Fields } from './fields.js'
import { parseJson } from './json.js'
import type { TraceEvent, TraceFormat } from './trace.js'

const ID = 'coding-agent-run'
const SUCCESS = 'submitted'

/**
 * One run of a coding agent: the run = one mission, its steps = its tasks, one right after the other for `execution_time_seconds` each.
 * The file has no dates, so the run starts in 1970. What the agent thought goes along as the plan, untrusted and at any length:
 * the plugin cuts what is too long for a message. Only a run that was `submitted` is `completed`.
 */
export const codingAgentRun: TraceFormat = {
  name: 'coding-agent-run',
  recognises: (text) => /^\s*\{/.test(text),
  read (text) {
    const { value, lineOf } = parseJson(text)
    const run = new Fields(value, lineOf(value))
    const steps = run.list('trajectory').map((step) => readStep(new Fields(step, lineOf(step, value))))
    const { info } = value as { info?: unknown }
    return runEvents(steps, new Fields(info, lineOf(info, value)).text('exit_status'))
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

function runEvents (steps: Step[], exitStatus: string): TraceEvent[] {
  const events: TraceEvent[] = [{ at: 0, run: (app) => startRun(app, steps) }]
  let at = 0
  for (const [position, step] of steps.entries()) {
    const report = (app: FastifyInstance, status: string): void => {
      app.missions.report(ID, 'execution_progress', {
        progress: { taskId: `step-${position + 1}`, index: position + 1, total: steps.length, status }
      })
    }
    events.push({ at, run: (app) => report(app, 'running') })
    at += step.durationMs
    events.push({ at, run: (app) => { report(app, 'completed'); trackStep(app, step) } })
  }
  return [...events, { at, run: (app) => endRun(app, exitStatus) }]
}

function startRun (app: FastifyInstance, steps: Step[]): void {
  const mission = app.missions.start({ id: ID, name: 'coding agent', tags: ['agent'] })
  mission.tasksGenerated(steps.map(({ action }) => action))
  mission.planned({ thoughts: steps.map(({ thought }) => thought) })
  mission.executionStarted()
}

function trackStep (app: FastifyInstance, { durationMs }: Step): void {
  app.monitoring.trackOperation({ component: 'agent', operation: 'step', status: 'success', durationMs })
}

function endRun (app: FastifyInstance, exitStatus: string): void {
  if (exitStatus === SUCCESS) app.missions.report(ID, 'completed')
  else app.missions.report(ID, 'error', { error: { code: 'not_submitted', message: `The agent stopped: ${exitStatus}` } })
}
