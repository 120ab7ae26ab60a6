import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createVirtualClock } from '../lib/base/virtual-clock.js'
import type { MissionControlOptions } from '../lib/index.js'
import { isTerminal, type MissionView } from '../schemas/mission.js'
import { boot } from './support/app.js'
import { Client, connect } from './support/client.js'
import { startExample } from './support/run-example.js'

type Payload = Record<string, unknown>
interface Delivery { event: string, payload: unknown, id?: string }
interface Reply { status: number, body: { ignored?: boolean, results?: Array<{ applied: boolean, reason?: string }>, error?: string }, text: string }

const require = createRequire(import.meta.url)
const EXAMPLES = require('@octokit/webhooks-examples') as Array<{ name: string, examples: Payload[] }>

// The type of the built module would declare the decorators of the plugin a second time.
const builtUrl = (file: string): URL => new URL(`../.examples/github/${file}.js`, import.meta.url)
if (!existsSync(builtUrl('hook'))) throw new Error('there is no .examples/github; npm run build:examples creates it')
const { githubHook } = await import(builtUrl('hook').href) as { githubHook: FastifyPluginAsync<{ secret?: string | undefined }> }
const { EVENTS } = await import(builtUrl('mapping').href) as { EVENTS: ReadonlyMap<string, unknown> }

/** The events with missions. */
const MAPPED = ['check_run', 'check_suite', 'deployment', 'deployment_review', 'deployment_status', 'merge_group', 'workflow_job', 'workflow_run']

const SECRET = 'It is a secret to everybody'
const sign = (body: string, secret = SECRET): string => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`

/** A service with the hook. */
async function bootHook (t: Test, missions: MissionControlOptions['missions'] = {}, secret: string | undefined = SECRET): Promise<FastifyInstance> {
  const app = await boot(t, { missions: { closeGraceMs: 1, ...missions } })
  await app.register(githubHook, { secret })
  return app
}

/** Sends a delivery without a socket. */
async function deliver (app: FastifyInstance, { event, payload, id = 'delivery' }: Delivery): Promise<Reply> {
  const body = JSON.stringify(payload)
  const headers = { 'content-type': 'application/json', 'x-github-event': event, 'x-github-delivery': id, 'x-hub-signature-256': sign(body) }
  const response = await app.inject({ method: 'POST', url: '/hooks/github', headers, body })
  return { status: response.statusCode, body: response.json(), text: response.body }
}

/** A real payload, with other fields in its main object. */
function vary (event: string, changes: Payload, { root = {}, at = event }: { root?: Payload, at?: string } = {}): Delivery {
  const example = EXAMPLES.find(({ name }) => name === event)?.examples[0]
  return { event, payload: { ...example, ...root, [at]: { ...example?.[at] as Payload, ...changes } } }
}

const DAY = Date.UTC(2024, 0, 1)
const time = (seconds: number): string => new Date(DAY + seconds * 1_000).toISOString().replace('.000', '')

interface Change { id: number, attempt?: number, status: string, conclusion?: string | null }

const runEvent = ({ id, attempt = 1, status, conclusion = null }: Change, changes: Payload = {}): Delivery => vary('workflow_run', {
  id, name: 'CI', run_attempt: attempt, status, conclusion, created_at: time(0), run_started_at: time(attempt * 1_000), updated_at: time(attempt * 1_000 + 100), ...changes
}, { root: { action: status === 'queued' ? 'requested' : status } })

const jobEvent = ({ id, attempt = 1, status, conclusion = null }: Change, runId: number, changes: Payload = {}): Delivery => vary('workflow_job', {
  id,
  run_id: runId,
  run_attempt: attempt,
  name: 'test',
  status,
  conclusion,
  created_at: time(attempt * 1_000 + 10),
  started_at: time(attempt * 1_000 + (status === 'queued' ? 10 : 20)),
  completed_at: status === 'completed' ? time(attempt * 1_000 + 80) : null,
  steps: status === 'queued'
    ? []
    : ['checkout', 'build', 'test'].map((name, at) => ({
        name, number: at + 1, status: status === 'completed' || at < 1 ? 'completed' : at === 1 ? 'in_progress' : 'queued', conclusion: status === 'completed' ? at === 2 ? conclusion : 'success' : at < 1 ? 'success' : null
      })),
  ...changes
}, { root: { action: status } })

const checkEvent = ({ id, status, conclusion = null }: Change, suiteId: number, action = status): Delivery => vary('check_run', {
  id, name: 'lint', status, conclusion, started_at: time(5), completed_at: status === 'completed' ? time(35) : null, check_suite: { id: suiteId }, app: { slug: 'linter' }
}, { root: { action } })

const suiteEvent = ({ id, status, conclusion = null }: Change, action = status): Delivery => vary('check_suite', {
  id, status, conclusion, created_at: time(0), updated_at: time(40), app: { slug: 'linter', name: 'Linter' }
}, { root: { action } })

const deploymentEvent = (id: number, state: string, runId: number): Delivery => vary('deployment_status', { state, created_at: time(60) }, {
  root: { deployment: { id, environment: 'production', created_at: time(0), updated_at: time(60) }, workflow_run: { id: runId } }
})

const reviewEvent = (runId: number, action: string): Delivery => vary('deployment_review', {
  id: runId, name: 'CI', run_attempt: 1, status: 'waiting', run_started_at: time(1_000)
}, { root: { action, environment: 'production' }, at: 'workflow_run' })

/** A workflow with two jobs and a deployment, and the check of another app; each in the order of GitHub. Ids start at `base`. */
function story (base: number): Delivery[] {
  const [run, one, two, suite, check, deployment] = Array.from({ length: 6 }, (_, at) => base + at) as [number, number, number, number, number, number]
  return [
    runEvent({ id: run, status: 'queued' }),
    jobEvent({ id: one, status: 'queued' }, run),
    jobEvent({ id: two, status: 'queued' }, run),
    reviewEvent(run, 'requested'),
    reviewEvent(run, 'approved'),
    runEvent({ id: run, status: 'in_progress' }),
    jobEvent({ id: one, status: 'in_progress' }, run),
    jobEvent({ id: one, status: 'completed', conclusion: 'failure' }, run),
    jobEvent({ id: two, status: 'completed', conclusion: 'skipped' }, run, { steps: [] }),
    runEvent({ id: run, status: 'completed', conclusion: 'failure' }),
    suiteEvent({ id: suite, status: 'queued' }, 'requested'),
    checkEvent({ id: check, status: 'queued' }, suite, 'created'),
    checkEvent({ id: check, status: 'completed', conclusion: 'timed_out' }, suite),
    checkEvent({ id: check, status: 'completed', conclusion: 'timed_out' }, suite, 'rerequested'),
    suiteEvent({ id: suite, status: 'completed', conclusion: 'neutral' }),
    { ...deploymentEvent(deployment, '', run), event: 'deployment' },
    deploymentEvent(deployment, 'in_progress', run),
    deploymentEvent(deployment, 'success', run),
    deploymentEvent(deployment, 'inactive', run)
  ]
}

/** What must not depend on the order or the number of deliveries. */
const withoutTimes = ({ taskId, index, status }: MissionView['tasks'][number]) => ({ taskId, index, status })

function lasting ({ status, attempt, parentId, queuedAt, startedAt, endedAt, durationMs, error, cancel, tasks, progress, waiting, lateOutcome }: MissionView) {
  return { status, attempt, parentId, queuedAt, startedAt, endedAt, durationMs, code: error?.code, cancel, tasks, progress, waiting, lateOutcome }
}

t.test('every event of the example payloads has an entry in the table', async (t) => {
  t.ok(EXAMPLES.length >= 58)
  t.strictSame(EXAMPLES.map(({ name }) => name).filter((name) => !EVENTS.has(name)), [])
})

t.test('every example payload is accepted over HTTP, also a second time', async (t) => {
  const app = await bootHook(t)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const statuses = new Map<number, number>()
  const withMissions = new Set<string>()
  for (const { name: event, examples } of [...EXAMPLES, ...EXAMPLES]) {
    for (const example of examples) {
      const body = JSON.stringify(example)
      const headers = { 'content-type': 'application/json', 'x-github-event': event, 'x-hub-signature-256': sign(body) }
      const response = await fetch(`${url}/hooks/github`, { method: 'POST', headers, body })
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1)
      const { ignored } = await response.json() as Reply['body']
      if (ignored === undefined) withMissions.add(event)
    }
  }
  t.strictSame([...statuses.keys()], [202])
  t.ok(statuses.get(202)! > 600)
  t.strictSame([...withMissions].sort(), MAPPED)
  t.equal(app.missions.get('github:run:289782451')!.name, 'github:run:289782451', 'its name is empty')
  // The examples of one event share their ids, so that this job fails in one and succeeds in another.
  t.strictSame(app.missions.views().filter(({ lateOutcome }) => lateOutcome !== null).map(({ id }) => id), ['github:job:289782451'])
})

/** The final state of the story. */
const ENDINGS: Array<[kind: string, ending: Partial<ReturnType<typeof lasting>>]> = [
  ['run', { status: 'error', code: 'failure', parentId: null, queuedAt: DAY + 1_000_000, startedAt: DAY + 1_000_000, durationMs: 100_000 }],
  ['job', { status: 'error', code: 'failure', queuedAt: DAY + 1_010_000, startedAt: DAY + 1_020_000, durationMs: 60_000 }],
  ['job', { status: 'cancelled', cancel: { requested: true, kind: 'skipped', reason: null, by: null }, durationMs: 60_000 }],
  ['suite', { status: 'completed', durationMs: 40_000 }],
  ['check', { status: 'cancelled', cancel: { requested: true, kind: 'timeout', reason: null, by: null }, durationMs: 30_000 }],
  ['deployment', { status: 'completed', durationMs: 60_000 }]
]
/** The positions in `ENDINGS` of the missions with a parent, and those of the parents. */
const PARENTS = new Map([[1, 0], [2, 0], [4, 3], [5, 0]])

function checkEndings (t: Test, app: FastifyInstance, base: number): void {
  const idOf = (at: number) => `github:${ENDINGS[at]![0]}:${base + at}`
  for (const [at, [, ending]] of ENDINGS.entries()) {
    const view = lasting(app.missions.get(idOf(at))!.view())
    t.match(view, ending, idOf(at))
    t.match(view, { attempt: 1, waiting: null, lateOutcome: null, parentId: PARENTS.has(at) ? idOf(PARENTS.get(at)!) : null })
  }
  t.strictSame(lasting(app.missions.get(idOf(1))!.view()).tasks.map(withoutTimes), [
    { taskId: 'checkout', index: 1, status: 'success' }, { taskId: 'build', index: 2, status: 'success' }, { taskId: 'test', index: 3, status: 'failure' }
  ])
}

t.test('deliveries in the order of GitHub', async (t) => {
  const app = await bootHook(t)
  for (const delivery of story(10)) t.match(await deliver(app, delivery), { status: 202 })
  checkEndings(t, app, 10)
  t.strictSame(app.missions.get('github:run:10')!.view().notes.map(({ text }) => text), ['approval requested: production', 'approval approved: production'])
  t.match(app.missions.stats(), { active: 0, total: 6, completed: 2, errors: 2, cancelled: 2, lateOutcomes: 0 })
})

t.test('repeated deliveries in any order lead to the same endings', async (t) => {
  const app = await bootHook(t)
  let base = 0
  let endings = 0
  app.missions.on('mission_ended', () => { endings++ })
  const length = story(0).length
  const order = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: length, maxLength: length })
    .map((times) => times.flatMap((count, at) => Array<number>(count).fill(at)))
    .chain((all) => fc.shuffledSubarray(all, { minLength: all.length }))
  await fc.assert(fc.asyncProperty(order, async (order) => {
    base += 10
    const deliveries = story(base)
    for (const at of order) {
      const { status, text } = await deliver(app, deliveries[at]!)
      if (status !== 202) throw new Error(text)
    }
    const { active, total, lateOutcomes } = app.missions.stats()
    const expected = base / 10 * ENDINGS.length
    if (active + lateOutcomes !== 0 || total !== expected || endings !== expected) throw new Error(JSON.stringify(app.missions.stats()))
    const notes = app.missions.get(`github:run:${base}`)!.view().notes.map(({ text }) => text)
    if (new Set(notes).size !== notes.length) throw new Error(`a note is repeated: ${notes.join()}`)
    checkEndings(t, app, base)
  }), { numRuns: 40 })
})

t.test('a run that is run again gets a second attempt, and late deliveries of the first one change nothing', async (t) => {
  const app = await bootHook(t)
  const first = [
    runEvent({ id: 1, status: 'queued' }), jobEvent({ id: 2, status: 'in_progress' }, 1), runEvent({ id: 1, status: 'in_progress' }),
    jobEvent({ id: 2, status: 'completed', conclusion: 'failure' }, 1), runEvent({ id: 1, status: 'completed', conclusion: 'failure' })
  ]
  const second = [
    runEvent({ id: 1, attempt: 2, status: 'queued' }), jobEvent({ id: 3, attempt: 2, status: 'in_progress' }, 1),
    runEvent({ id: 1, attempt: 2, status: 'in_progress' }), runEvent({ id: 1, attempt: 2, status: 'completed', conclusion: 'success' }),
    jobEvent({ id: 3, attempt: 2, status: 'completed', conclusion: 'success' }, 1)
  ]
  for (const delivery of [...first, second[0]!, ...first]) t.equal((await deliver(app, delivery)).status, 202)
  t.match(app.missions.get('github:run:1')!.view(), { status: 'planning_started', attempt: 2, waiting: 'for a runner' })
  t.strictSame((await deliver(app, first.at(-1)!)).body, { results: [{ applied: false, reason: 'stale' }] })
  t.strictSame((await deliver(app, reviewEvent(1, 'approved'))).body, { results: [{ applied: false, reason: 'stale' }] }, 'nor does a note')
  for (const delivery of [...second.slice(1), ...first, ...second]) t.equal((await deliver(app, delivery)).status, 202)
  const view = app.missions.get('github:run:1')!.view()
  t.match(lasting(view), { status: 'completed', attempt: 2, startedAt: DAY + 2_000_000, queuedAt: DAY + 2_000_000, durationMs: 100_000, lateOutcome: null })
  t.match(view.attempts, [{ attempt: 1, status: 'error', durationMs: 100_000 }])
  t.equal(view.notes.length, 0)
  t.match(app.missions.get('github:job:3')!.view(), { parentId: 'github:run:1', attempt: 2, status: 'completed' })
  t.match(app.missions.stats(), { active: 0, total: 4, lateOutcomes: 0 })
})

t.test('a second attempt that starts before the end of the first is known supersedes it', async (t) => {
  const app = await bootHook(t)
  await deliver(app, runEvent({ id: 1, status: 'in_progress' }))
  await deliver(app, runEvent({ id: 1, attempt: 2, status: 'in_progress' }))
  await deliver(app, runEvent({ id: 1, status: 'completed', conclusion: 'failure' }))
  t.match(app.missions.get('github:run:1')!.view(), { attempt: 2, status: 'execution_started', attempts: [{ attempt: 1, status: 'cancelled', cancel: { kind: 'superseded' } }] })
  t.match(app.missions.stats(), { active: 1, cancelled: 1, lateOutcomes: 0 })
})

t.test('each conclusion has one ending', async (t) => {
  const app = await bootHook(t)
  const endings: Array<[conclusion: unknown, ending: object]> = [
    ['success', { status: 'completed' }],
    ['neutral', { status: 'completed' }],
    ['failure', { status: 'error', error: { code: 'failure' } }],
    ['startup_failure', { status: 'error', error: { code: 'startup_failure' } }],
    ['cancelled', { status: 'cancelled', cancel: { kind: 'request' } }],
    ['skipped', { status: 'cancelled', cancel: { kind: 'skipped' } }],
    ['timed_out', { status: 'cancelled', cancel: { kind: 'timeout' } }],
    ['stale', { status: 'cancelled', cancel: { kind: 'timeout', reason: 'incomplete for 14 days' } }],
    ['one of next year', { status: 'error', error: { code: 'unknown' } }],
    [null, { status: 'error', error: { code: 'unknown' } }]
  ]
  for (const [at, [conclusion, ending]] of endings.entries()) {
    for (const delivery of [
      runEvent({ id: at + 1, status: 'completed', conclusion: conclusion as string }),
      jobEvent({ id: at + 1, status: 'completed', conclusion: conclusion as string }, at + 1),
      checkEvent({ id: at + 1, status: 'completed', conclusion: conclusion as string }, 99)
    ]) await deliver(app, delivery)
    for (const kind of ['run', 'job', 'check']) t.match(app.missions.get(`github:${kind}:${at + 1}`)!.view(), ending, `${kind} ${conclusion}`)
  }
})

t.test('a run that needs an approval waits, and a check that needs an action has failed', async (t) => {
  const app = await bootHook(t)
  await deliver(app, runEvent({ id: 1, status: 'completed', conclusion: 'action_required' }))
  t.match(app.missions.get('github:run:1')!.view(), { status: 'planning_started', waiting: 'for an approval' })
  await deliver(app, runEvent({ id: 1, status: 'in_progress' }))
  t.match(app.missions.get('github:run:1')!.view(), { status: 'execution_started', waiting: null })
  await deliver(app, checkEvent({ id: 1, status: 'completed', conclusion: 'action_required' }, 2))
  t.match(app.missions.get('github:check:1')!.view(), { status: 'error', error: { code: 'action_required' } })
})

t.test('a job waits in the queue and for approvals, and then its steps are its tasks', async (t) => {
  const app = await bootHook(t)
  const view = () => app.missions.get('github:job:1')!.view()
  await deliver(app, jobEvent({ id: 1, status: 'queued' }, 2))
  t.match(view(), { status: 'planning_started', waiting: 'for a runner', queuedAt: DAY + 1_010_000, name: 'test', parentId: 'github:run:2', tags: ['github', 'job'] })
  t.strictSame(view().metadata, { repository: 'octo-org/example-workflow', url: 'https://github.com/octo-org/example-workflow/runs/2832853555' })
  await deliver(app, jobEvent({ id: 1, status: 'waiting' }, 2, { steps: [] }))
  t.match(view(), { status: 'planning_started', waiting: 'for an approval' })
  await deliver(app, jobEvent({ id: 1, status: 'in_progress' }, 2))
  t.match(view(), { status: 'execution_progress', waiting: null, startedAt: DAY + 1_020_000, progress: { taskId: 'build', index: 2, total: 3, status: 'in_progress' } })
  t.strictSame(view().tasks.map(withoutTimes), [{ taskId: 'checkout', index: 1, status: 'success' }, { taskId: 'build', index: 2, status: 'in_progress' }])
})

t.test('a merge group ends when it is destroyed, and is the parent of its runs', async (t) => {
  const app = await bootHook(t)
  for (const [reason, ending] of Object.entries({
    merged: { status: 'completed' },
    dequeued: { status: 'cancelled', cancel: { kind: 'request' } },
    invalidated: { status: 'cancelled', cancel: { kind: 'superseded' } },
    other: { status: 'error', error: { code: 'unknown' } }
  })) {
    const sha = `sha-of-${reason}`
    await deliver(app, runEvent({ id: 1, status: 'in_progress' }, { id: reason.length, event: 'merge_group', head_sha: sha }))
    await deliver(app, vary('merge_group', { head_sha: sha }))
    t.equal(app.missions.get(`github:merge:${sha}`)!.status, 'execution_started')
    await deliver(app, vary('merge_group', { head_sha: sha }, { root: { action: 'destroyed', reason } }))
    t.match(app.missions.get(`github:merge:${sha}`)!.view(), ending)
    t.equal(app.missions.get(`github:run:${reason.length}`)!.parentId, `github:merge:${sha}`)
  }
})

t.test('the jobs and runs of workflows are not counted again as checks', async (t) => {
  const app = await bootHook(t)
  const actions = { app: { slug: 'github-actions' } }
  t.match(await deliver(app, vary('check_run', actions)), { status: 202, body: { ignored: true } })
  t.match(await deliver(app, vary('check_suite', actions)), { status: 202, body: { ignored: true } })
  t.equal(app.missions.stats().total, 0)
})

t.test('a protection rule is a note on its deployment', async (t) => {
  const app = await bootHook(t)
  const { payload } = deploymentEvent(1, 'waiting', 2)
  const rule = { event: 'deployment_protection_rule', payload: { ...payload as Payload, action: 'requested', environment: 'production' } }
  await deliver(app, rule)
  await deliver(app, rule)
  t.match(app.missions.get('github:deployment:1')!.view(), { waiting: 'for an approval', notes: [{ text: 'protection requested: production' }] })
  t.equal(app.missions.get('github:deployment:1')!.view().notes.length, 1)
})

t.test('times are limited to the present and to their order', async (t) => {
  const app = await bootHook(t)
  const view = () => app.missions.get('github:job:1')!.view()
  const times = { created_at: time(30), started_at: time(20), completed_at: time(10) }
  await deliver(app, jobEvent({ id: 1, status: 'completed', conclusion: 'skipped' }, 2, times))
  t.match(view(), { queuedAt: DAY + 10_000, startedAt: DAY + 10_000, endedAt: DAY + 10_000, durationMs: 0 }, 'a skipped job starts after its end')
  await deliver(app, jobEvent({ id: 1, attempt: 2, status: 'completed', conclusion: 'success' }, 2, { completed_at: '2999-01-01T00:00:00Z', steps: [] }))
  const { queuedAt, startedAt, endedAt } = view()
  t.strictSame([queuedAt, startedAt], [DAY + 2_010_000, DAY + 2_020_000], 'an end in the future changes no other time')
  t.ok(Date.now() - endedAt! < 60_000)
})

t.test('times of a clock that is ahead, or in the wrong order, are never refused', async (t) => {
  const app = await bootHook(t)
  const times = fc.constantFrom(-60_000, -1_000, 0, 500, 30_000, 60_000, 86_400_000, null, 'no time', 7, -Date.now() - 1)
    .map((value) => typeof value === 'number' && value !== 7 ? () => new Date(Date.now() + value).toISOString() : () => value)
  let id = 1
  const event = fc.record({ status: fc.constantFrom('queued', 'waiting', 'in_progress', 'completed'), created: times, started: times, ended: times })
  // A failure prints its seed and path; pass both to fc.assert to replay it.
  await fc.assert(fc.asyncProperty(fc.array(event, { maxLength: 5 }), async (events) => {
    id++
    for (const { status, created, started, ended } of events) {
      const { status: code, text } = await deliver(app, jobEvent({ id, status, conclusion: 'success' }, 1, { created_at: created(), started_at: started(), completed_at: ended() }))
      if (code !== 202) throw new Error(text)
    }
    const view = app.missions.get(`github:job:${id}`)?.view()
    const hasEnded = events.some(({ status }) => status === 'completed')
    if (hasEnded && !(isTerminal(view!.status) && view!.durationMs! >= 0 && view!.endedAt! <= Date.now())) throw new Error(JSON.stringify(view))
  }), { numRuns: 300 })
})

t.test('the story over HTTP, as a client of the WebSocket sees it', async (t) => {
  const app = await bootHook(t)
  const client = await connect(app)
  await client.subscribe('mission_update')
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/hooks/github`
  const post = async ({ event, payload }: Delivery) => {
    const body = JSON.stringify(payload)
    const headers = { 'content-type': 'application/json', 'x-github-event': event, 'x-hub-signature-256': sign(body) }
    return await (await fetch(url, { method: 'POST', headers, body })).json() as Reply['body']
  }
  const ending = async (missionId: string) =>
    (await client.next('mission_update', ({ payload }) => payload.missionId === missionId && isTerminal(payload.status))).payload

  await post(jobEvent({ id: 2, status: 'in_progress' }, 1))
  const { payload } = await client.next('mission_update', ({ payload }) => payload.missionId === 'github:job:2')
  t.match(payload, { name: 'test', parentId: 'github:run:1', queuedAt: DAY + 1_010_000, startedAt: DAY + 1_020_000, tags: ['github', 'job'] }, 'the child arrives first')
  await post(jobEvent({ id: 2, status: 'completed', conclusion: 'failure' }, 1))
  t.match(await ending('github:job:2'), { status: 'error', errorCode: 'failure', durationMs: 60_000 })
  await post(jobEvent({ id: 3, status: 'completed', conclusion: 'skipped' }, 1, { steps: [] }))
  t.match(await ending('github:job:3'), { status: 'cancelled', cancel: { kind: 'skipped' }, parentId: 'github:run:1' })
  await post(runEvent({ id: 1, status: 'completed', conclusion: 'cancelled' }))
  t.match(await ending('github:run:1'), { status: 'cancelled', cancel: { kind: 'request' }, durationMs: 100_000 })

  await post(runEvent({ id: 1, attempt: 2, status: 'in_progress' }))
  t.strictSame(await post(runEvent({ id: 1, status: 'completed', conclusion: 'cancelled' })), { results: [{ applied: false, reason: 'stale' }] })
  await post(runEvent({ id: 1, attempt: 2, status: 'completed', conclusion: 'success' }))
  t.match(await ending('github:run:1'), { status: 'completed', attempt: 2, durationMs: 100_000 })
  t.strictSame(await post(runEvent({ id: 1, attempt: 2, status: 'completed', conclusion: 'success' })), { results: [{ applied: false, reason: 'repeated' }] })
  const rest = (await client.settle()).filter((message) => message.type === 'mission_update' && isTerminal(message.payload.status))
  t.strictSame(rest, [], 'each attempt has one ending')
  await client.close()
})

t.test('the program receives deliveries and prints the updates', async (t) => {
  const program = startExample(t, '.examples/github-webhooks.js', [], { PORT: '0', GITHUB_WEBHOOK_SECRET: SECRET })
  const [url] = await program.says(/http:\/\/\S+/)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws/mission-control`)
  const client = new Client(socket)
  await once(socket, 'open')
  const { event, payload } = runEvent({ id: 1, attempt: 2, status: 'in_progress' })
  const body = JSON.stringify(payload)
  const post = async (signature: string) => (await fetch(`${url}/hooks/github`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-github-event': event, 'x-hub-signature-256': signature }, body
  })).status
  t.equal(await post(sign(body, 'another')), 401)
  t.equal(await post(sign(body)), 202)
  await program.says(/github:run:1 execution_started CI, attempt 2\n/)
  program.signal('SIGINT')
  t.match(await client.closed, { code: 1012 })
  t.match(await program.ended, { code: 0, stderr: '' })
})

t.test('the program says that it does not check signatures', async (t) => {
  const program = startExample(t, '.examples/github-webhooks.js', [], { PORT: '0', GITHUB_WEBHOOK_SECRET: '' })
  await program.says(/http:\/\/\S+/)
  program.signal('SIGINT')
  t.match(await program.ended, { code: 0, stderr: /GITHUB_WEBHOOK_SECRET is not set/ })
})

const CONTENT = { 'content-type': 'application/json', 'x-github-event': 'workflow_run' }

t.test('a request that is not a delivery of GitHub is refused', async (t) => {
  const app = await bootHook(t)
  const url = `${await app.listen({ host: '127.0.0.1', port: 0 })}/hooks/github`
  const post = async (body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url, { method: 'POST', body, headers: { ...CONTENT, ...headers } })
    return { status: response.status, text: await response.text() }
  }
  const body = JSON.stringify(runEvent({ id: 1, status: 'queued' }).payload)
  for (const signature of ['', 'sha256=', sign(body, 'another secret'), sign(`${body} `), sign(body).slice(0, -1), sign(body).toUpperCase(), sign(body).slice('sha256='.length)]) {
    t.strictSame(await post(body, { 'x-hub-signature-256': signature }), { status: 401, text: '{"error":"bad_signature"}' }, signature)
  }
  t.strictSame(await post(body), { status: 401, text: '{"error":"bad_signature"}' }, 'no signature')
  t.strictSame(await post('{"not json', { 'x-hub-signature-256': sign('{}') }), { status: 401, text: '{"error":"bad_signature"}' }, 'the signature is checked first')
  t.equal(app.missions.stats().total, 0)
  t.strictSame(await post('{"private": 7', { 'x-hub-signature-256': sign('{"private": 7') }), { status: 400, text: '{"error":"not_json"}' })
  t.strictSame(await post('', { 'x-hub-signature-256': sign('') }), { status: 400, text: '{"error":"not_json"}' })
  const large = JSON.stringify({ private: 'x'.repeat(1_048_577) })
  const refused = await post(large, { 'x-hub-signature-256': sign(large) })
  t.match(refused, { status: 413 })
  t.notMatch(refused.text, 'xxx')
  t.match(await post('payload=private', { 'content-type': 'application/x-www-form-urlencoded' }), { status: 415 })
  t.strictSame(await post(body, { 'x-hub-signature-256': sign(body), 'x-github-event': 'of_next_year' }), { status: 202, text: '{"ignored":true}' })
  t.strictSame(await post(body, { 'x-hub-signature-256': sign(body), 'x-github-event': 'constructor' }), { status: 202, text: '{"ignored":true}' })
  t.equal(app.missions.stats().total, 0)
  t.match(await post(body, { 'x-hub-signature-256': sign(body) }), { status: 202, text: '{"results":[{"applied":true}]}' })
})

t.test('a request without a body is refused', async (t) => {
  const app = await bootHook(t)
  const response = await app.inject({ method: 'POST', url: '/hooks/github', headers: { 'x-hub-signature-256': sign('') } })
  t.match([response.statusCode, response.body], [400, '{"error":"not_json"}'])
})

t.test('without a secret, signatures are not checked', async (t) => {
  const app = await boot(t)
  await app.register(githubHook, {})
  const { payload } = runEvent({ id: 1, status: 'queued' })
  const response = await app.inject({ method: 'POST', url: '/hooks/github', headers: CONTENT, body: payload as object })
  t.equal(response.statusCode, 202)
  t.equal(app.missions.stats().total, 1)
})

t.test('the parser of the hook does not change other routes', async (t) => {
  const app = await bootHook(t)
  app.post('/echo', async ({ body }) => body)
  t.strictSame((await app.inject({ method: 'POST', url: '/echo', body: { a: 1 } })).json(), { a: 1 })
})

t.test('repeated deliveries for missions that are no longer kept start nothing', async (t) => {
  const app = await bootHook(t, { maxEnded: 1 })
  const deliveries = story(10)
  for (const delivery of deliveries) await deliver(app, delivery)
  const stats = app.missions.stats()
  t.equal(app.missions.get('github:job:12'), undefined)
  for (const delivery of [...deliveries, ...deliveries.toReversed()]) t.equal((await deliver(app, delivery)).status, 202)
  t.strictSame(app.missions.stats(), stats)
})

/** A copy in which the values at some paths are replaced. */
function damage (value: unknown, pick: () => number, other: () => unknown): unknown {
  if (pick() === 0) return other()
  if (Array.isArray(value)) return value.map((one) => damage(one, pick, other))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, damage(one, pick, other)]))
}

t.test('payloads of any shape never fail, and no reply repeats their text', async (t) => {
  const app = await bootHook(t, { maxActive: 1_000_000 })
  const real = EXAMPLES.filter(({ name }) => MAPPED.includes(name)).flatMap(({ name, examples }) => examples.map((example) => ({ event: name, example })))
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom('private'.repeat(30), Number.MAX_SAFE_INTEGER, -1, 0.5, 'completed', '9999-99-99', '-000001-01-01T00:00:00Z'))
  const damaged = fc.tuple(fc.constantFrom(...real), fc.infiniteStream(fc.nat(19)), fc.infiniteStream(value))
    .map(([{ event, example }, picks, values]) => ({ event, payload: damage(example, () => picks.next().value, () => values.next().value) }))
  const delivery = fc.oneof({ arbitrary: damaged, weight: 9 }, fc.record({ event: fc.constantFrom(...MAPPED), payload: fc.jsonValue() }))
  const statuses = new Set<number>()
  await fc.assert(fc.asyncProperty(delivery, async (delivery) => {
    const { status, text } = await deliver(app, delivery)
    statuses.add(status)
    // 409: the parent of a mission does not change.
    if ((status !== 202 && status !== 409) || text.includes('private')) throw new Error(`${status} ${text}`)
  }), { numRuns: 2_000 })
  t.ok(statuses.has(202))
  t.ok(app.missions.stats().total > 10, `${app.missions.stats().total} missions`)
})

t.test('a mission whose end is never delivered times out after 14 days', async (t) => {
  const clock = createVirtualClock(Date.now())
  const app = await boot(t, { clock })
  await app.register(githubHook, { secret: SECRET })
  await deliver(app, runEvent({ id: 1, status: 'in_progress' }))
  clock.advance(14 * 86_400_000 - 1)
  t.equal(app.missions.get('github:run:1')!.view().cancel, null)
  clock.advance(1)
  t.match(app.missions.get('github:run:1')!.view().cancel, { kind: 'timeout' })
})

t.test('texts of any length are cut', async (t) => {
  const app = await bootHook(t)
  const long = 'x'.repeat(100_000)
  const { payload } = jobEvent({ id: 1, status: 'in_progress' }, 2, { name: long, html_url: long, steps: [{ name: long, status: long }] })
  t.equal((await deliver(app, { event: 'workflow_job', payload })).status, 202)
  t.ok(JSON.stringify(app.missions.get('github:job:1')).length < 8_000)
  t.equal((await deliver(app, vary('merge_group', { head_sha: long }))).status, 202)
  const review = reviewEvent(3, 'requested').payload as Payload
  for (let count = 0; count < 2; count++) await deliver(app, { event: 'deployment_review', payload: { ...review, environment: long } })
  t.equal(app.missions.get('github:run:3')!.view().notes.length, 1)
})
