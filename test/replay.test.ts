import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runExample, startExample, startRunner } from './support/run-example.js'
import { onlyWith, pathOf } from './support/skip.js'
import { traceFile } from './support/trace-data.js'

// The replays take half a minute on an idle machine, and several minutes on a busy one.
t.setTimeout(600_000)

const REPLAY = '.examples/replay.js'
const run = startRunner(t)

interface Counts { completed: number, errors: number, cancelled: number, active: number, stalled: number, total: number }
interface Replay {
  code: number | null
  format: string
  tookMs: number
  surfaces: Record<string, Counts>
  endings: Record<string, number>
  everStalled: number
  stalledIds: string[]
  operations: { success: number, error: number }
  meanDurationMs: number | null
}

async function replay (t: Test, path: string, ...flags: string[]): Promise<Replay> {
  const { code, stdout, stderr } = await run(REPLAY, [path, '--json', ...flags])
  t.equal(stderr, '')
  return { code, ...JSON.parse(stdout) as Omit<Replay, 'code'> }
}

/** The same counts on every surface: the message, the viewer's own count, the scrape and the registry. */
function everywhere (shown: Omit<Counts, 'stalled'> & { stalled?: number }): Record<string, Counts> {
  const counts = { stalled: 0, ...shown }
  return { websocket: counts, updates: counts, prometheus: counts, registry: counts }
}

/** Runs code that may `import` modules of the built examples by their path in `examples/`. Returns the JSON that it prints. */
async function runBeside (t: Test, code: string, ...args: string[]): Promise<unknown> {
  const here = new URL('../.examples/', import.meta.url).href
  const script = join(t.testdir({ 'beside.mjs': code.replaceAll("import('", `import('${here}`) }), 'beside.mjs')
  const { stdout, stderr } = await run(script, args)
  t.equal(stderr, '')
  return JSON.parse(stdout)
}

function writeTrace (t: Test, content: string | object): string {
  const text = typeof content === 'string' ? content : JSON.stringify(content, null, 1)
  return join(t.testdir({ trace: text }), 'trace')
}

const HEADER = 'gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,negative_prompt_length,' +
  'num_images_per_prompt,num_inference_steps,checkpoint_model_version_id,num_lora'

const requests = traceFile('genai-requests.csv')
const jobs = traceFile('ci-jobs.json')
const agent = traceFile('coding-agent-run.json')

interface Row { id: string, status: string, durationMs: number }

function readRows (path: string): Row[] {
  const lines = readFileSync(path, 'utf8').trim().split('\n').map((line) => line.split(','))
  return lines.map(([, , status, seconds], at) => ({ id: `request-${at + 1}`, status: status!, durationMs: Number(seconds) * 1_000 })).slice(1)
}

const isEnded = ({ status }: Row) => status === 'SUCCEED' || status === 'FAILED'
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)
const isNear = (value: number | null, expected: number) => value !== null && Math.abs(value - expected) < 1e-6 * expected

/** The default stall time of a replay. */
const STALL_MS = 600_000

t.test('24 days of requests end with the same totals on every surface, and requests that never ended are stalled', onlyWith(requests), async (t) => {
  const result = await replay(t, pathOf(requests))
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 26_392, errors: 398, cancelled: 0, active: 33, stalled: 33, total: 26_823 }))
  t.strictSame(result.endings, { completed: 26_392, 'error: generation_failed': 398 })
  t.strictSame(result.operations, { success: 26_392, error: 398 })

  const rows = readRows(pathOf(requests))
  t.strictSame(result.stalledIds.toReversed(), rows.filter((row) => !isEnded(row)).map(({ id }) => id), 'the list shows exactly those')
  t.equal(result.everStalled, 33, 'no other request was ever counted as stalled')
  const ended = rows.filter(isEnded).map(({ durationMs }) => durationMs)
  t.ok(Math.max(...ended) < STALL_MS)
  const mean = sum(ended) / ended.length
  t.ok(isNear(result.meanDurationMs, mean), `a mean of ${result.meanDurationMs} ms instead of ${mean}`)
})

t.test('requests that never ended are cancelled when they stall, if the flag says so', onlyWith(requests), async (t) => {
  const result = await replay(t, pathOf(requests), '--on-stall', 'cancel')
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 26_392, errors: 398, cancelled: 33, active: 0, total: 26_823 }))
  t.strictSame(result.endings, { completed: 26_392, 'error: generation_failed': 398, 'cancelled: The mission showed no activity': 33 })
  t.strictSame(result.stalledIds, [])

  const rows = readRows(pathOf(requests))
  const mean = sum(rows.map((row) => isEnded(row) ? row.durationMs : STALL_MS)) / rows.length
  t.ok(isNear(result.meanDurationMs, mean), `each ends as soon as it stalls: a mean of ${result.meanDurationMs} ms instead of ${mean}`)
})

interface RecordedStep { name: string, conclusion: string, started_at: string, completed_at: string }
interface RecordedJob { id: number, conclusion: string, started_at: string, steps: RecordedStep[] }

t.test('the jobs of a CI service end with their recorded conclusion', onlyWith(jobs), async (t) => {
  const result = await replay(t, pathOf(jobs))
  t.equal(result.code, 0)
  t.equal(result.format, 'ci-jobs')
  t.strictSame(result.surfaces, everywhere({ completed: 274, errors: 18, cancelled: 4, active: 0, total: 296 }))
  t.strictSame(result.endings, { completed: 274, 'error: step_failed': 18, 'cancelled: cancelled': 3, 'cancelled: skipped': 1 })
  t.equal(result.everStalled, 0)
  const steps = (JSON.parse(readFileSync(pathOf(jobs), 'utf8')) as RecordedJob[]).flatMap((job) => job.steps)
  const count = (conclusion: string) => steps.filter((step) => step.conclusion === conclusion).length
  t.strictSame(result.operations, { success: count('success'), error: count('failure') })
})

// Prints the statuses of every mission of a replay, and when each function passed to `mission.task` began and ended on the virtual clock.
const WATCH = `
  import { readFileSync } from 'node:fs'
  const { createTraceClock } = await import('replay/clock.js')
  const { play } = await import('replay/play.js')
  const { startService } = await import('replay/service.js')
  const { readTrace } = await import('traces/index.js')
  const trace = readTrace(readFileSync(process.argv[2], 'utf8'))
  const clock = createTraceClock(trace.from)
  const { app, missionStatsMs } = await startService(clock, Infinity, { stallMs: 600_000, onStall: 'flag' })
  const statuses = {}
  app.missions.on('mission_update', ({ missionId, status }) => { (statuses[missionId] ??= []).push(status) })
  const tasks = []
  for (const one of trace.missions) {
    const { run } = one
    one.run = (mission, stage) => {
      const task = mission.task.bind(mission)
      mission.task = (taskId, work) => task(taskId, async (signal) => {
        const entry = { id: mission.id, taskId, from: clock.now() }
        tasks.push(entry)
        try { return await work(signal) } finally { entry.to = clock.now() }
      })
      return run(mission, stage)
    }
  }
  await play(trace, { app, clock, speed: Infinity, stallMs: 600_000, missionStatsMs, signal: new AbortController().signal })
  await app.close()
  console.log(JSON.stringify({ statuses, tasks }))
`

interface SeenTask { id: string, taskId: string, from: number, to: number }
interface Seen { statuses: Record<string, string[]>, tasks: SeenTask[] }

t.test('every step of a CI job that ran is a task with its recorded times', onlyWith(jobs), async (t) => {
  const recorded = (JSON.parse(readFileSync(pathOf(jobs), 'utf8')) as RecordedJob[]).flatMap(({ id, steps }) => steps
    .map((step) => ({ ...step, id: `job-${id}`, from: Date.parse(step.started_at), to: Date.parse(step.completed_at) }))
    .sort((a, b) => a.from - b.from)
    .map(({ id, name, conclusion, from, to }, position) => ({ id, taskId: `${position + 1} ${name}`, from, to, conclusion })))
  const expected = recorded.filter(({ conclusion }) => conclusion !== 'skipped').map(({ conclusion: _, ...task }) => task)
  t.equal(recorded.length, 1_762)
  t.equal(expected.length, 1_760)
  const { tasks: seen } = await runBeside(t, WATCH, pathOf(jobs)) as Seen
  const key = ({ id, taskId }: SeenTask) => `${id} ${taskId}`
  const sort = (tasks: SeenTask[]) => tasks.sort((a, b) => key(a) < key(b) ? -1 : 1)
  t.strictSame(sort(seen), sort(expected))
})

t.test('a run of a coding agent is one mission with all of its steps', onlyWith(agent), async (t) => {
  const { trajectory } = JSON.parse(readFileSync(pathOf(agent), 'utf8')) as { trajectory: Array<{ execution_time_seconds: number }> }
  const result = await replay(t, pathOf(agent))
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
  t.strictSame(result.operations, { success: trajectory.length, error: 0 })
  t.ok(isNear(result.meanDurationMs, sum(trajectory.map((step) => step.execution_time_seconds)) * 1_000))
})

const REQUESTS = [
  HEADER,
  '2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,30.0,G0000,63.0,26.0,1.0,30.0,M0000,0',
  '2024-11-15 16:57:50,TXT_2_IMG,FAILED,10.0,G0001,,,,,,0',
  '2024-11-15 16:58:00,IMG_2_IMG,PENDING,0.0,G0001,93.0,,1.0,40.0,M0001,0',
  '2024-11-16 18:00:00,INPAINTING,PROCESSING,21.0,G0002,93.0,,1.0,40.0,M0001,0',
  ''
].join('\n')

t.test('a request ends after its recorded duration, and a request that never ended stays active and stalled', async (t) => {
  const result = await replay(t, writeTrace(t, REQUESTS))
  t.equal(result.code, 0)
  t.equal(result.format, 'genai-requests')
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 0, active: 2, stalled: 2, total: 4 }))
  t.strictSame(result.stalledIds, ['request-5', 'request-4'])
  t.strictSame(result.operations, { success: 1, error: 1 })
  t.equal(result.meanDurationMs, 20_000)
})

t.test('a stalled request ends at once as --on-stall says, before the grace period forces it', async (t) => {
  const cancelled = await replay(t, writeTrace(t, REQUESTS), '--on-stall', 'cancel', '--stall-ms', '60000')
  t.strictSame(cancelled.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 2, active: 0, total: 4 }))
  t.strictSame(cancelled.endings, { 'cancelled: The mission showed no activity': 2, completed: 1, 'error: generation_failed': 1 })
  // One request was running; the other had not begun and therefore is no operation.
  t.strictSame(cancelled.operations, { success: 1, error: 2 })
  t.equal(cancelled.meanDurationMs, (30_000 + 10_000 + 60_000 + 60_000) / 4)

  const failed = await replay(t, writeTrace(t, REQUESTS), '--on-stall', 'error', '--stall-ms', '60000')
  t.strictSame(failed.surfaces, everywhere({ completed: 1, errors: 3, cancelled: 0, active: 0, total: 4 }))
  t.strictSame(failed.endings, { 'error: stalled': 2, completed: 1, 'error: generation_failed': 1 })
})

t.test('a request without activity for longer than --stall-ms is stalled until it ends', async (t) => {
  const result = await replay(t, writeTrace(t, REQUESTS), '--stall-ms', '20000')
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 0, active: 2, stalled: 2, total: 4 }))
  t.equal(result.everStalled, 3)

  const patient = await replay(t, writeTrace(t, REQUESTS), '--stall-ms', '7200000')
  t.equal(patient.everStalled, 2, 'the replay continues until the last one is stalled')
})

const at = (second: number) => new Date(Date.UTC(2024, 0, 1, 12, 0, second)).toISOString()
const step = (conclusion: string, from: number, to: number) => ({ name: `step ${from}`, conclusion, started_at: at(from), completed_at: at(to) })
const job = (id: number, conclusion: string, [created, started, completed]: [number, number, number], steps: object[] = []) =>
  ({ id, name: 'build', conclusion, created_at: at(created), started_at: at(started), completed_at: at(completed), steps })

t.test('a job lasts from its creation to its end, even if the times of its steps lie outside', async (t) => {
  const path = writeTrace(t, [
    job(1, 'success', [0, 5, 20], [step('success', 4, 9), step('skipped', 12, 12), step('success', 10, 11)]),
    job(2, 'failure', [6, 4, 14], [step('failure', 3, 25)]),
    job(3, 'cancelled', [0, 0, 10], [step('cancelled', 1, 5), step('success', 6, 8)]),
    job(4, 'skipped', [0, 0, 0])
  ])
  const result = await replay(t, path)
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 2, active: 0, total: 4 }))
  t.strictSame(result.endings, { completed: 1, 'error: step_failed': 1, 'cancelled: cancelled': 1, 'cancelled: skipped': 1 })
  t.strictSame(result.operations, { success: 3, error: 1 })
  // Job 2 started 2 s before it was created, and its step 1 s earlier: 20 + 11 + 10 + 0 seconds in total.
  t.equal(result.meanDurationMs, 10_250)

  await t.test('its steps begin and end at their recorded times within the job, and a skipped step never starts', async (t) => {
    const { tasks, statuses } = await runBeside(t, WATCH, path) as Seen
    // The second update carries the cancel request.
    t.strictSame(statuses['job-4'], ['planning_started', 'planning_started', 'cancelled'])
    t.strictSame(tasks.map(({ id, taskId, from, to }) => [id, taskId, new Date(from).getUTCSeconds(), new Date(to).getUTCSeconds()]), [
      ['job-3', '1 step 1', 1, 5],
      ['job-2', '1 step 3', 3, 14],
      ['job-1', '1 step 4', 4, 9],
      ['job-3', '2 step 6', 6, 8],
      ['job-1', '2 step 10', 10, 11]
    ])
  })
})

t.test('clients stay connected through a year without activity', async (t) => {
  const result = await replay(t, writeTrace(t, [
    job(1, 'success', [0, 0, 10]),
    job(2, 'success', [366 * 86_400, 366 * 86_400, 366 * 86_400 + 10])
  ]))
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 2, errors: 0, cancelled: 0, active: 0, total: 2 }))
})

const agentRun = (exitStatus: string) => ({
  info: { exit_status: exitStatus },
  trajectory: [
    { action: 'ls', thought: 'x'.repeat(100_000), execution_time_seconds: 1.5 },
    { action: 'submit', thought: '\u0000<script>"', execution_time_seconds: 0.5 }
  ]
})

t.test('an agent run that was not submitted has failed', async (t) => {
  const submitted = await replay(t, writeTrace(t, agentRun('submitted')))
  t.strictSame(submitted.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
  t.equal(submitted.meanDurationMs, 2_000)
  const stopped = await replay(t, writeTrace(t, agentRun('exit_cost')))
  t.strictSame(stopped.surfaces, everywhere({ completed: 0, errors: 1, cancelled: 0, active: 0, total: 1 }))
})

t.test('--speed plays a trace at a multiple of real time', async (t) => {
  const result = await replay(t, writeTrace(t, agentRun('submitted')), '--speed', '10')
  t.equal(result.code, 0)
  t.ok(result.tookMs >= 200, `2 s at ten times the speed took ${result.tookMs} ms`)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
})

t.test('without --json the result is a table, with the outcomes in the trace and how the missions ended', async (t) => {
  const path = writeTrace(t, [job(1, 'success', [0, 0, 10]), job(2, 'failure', [0, 0, 10]), job(3, 'skipped', [0, 0, 0])])
  const { code, stdout } = await runExample(t, REPLAY, [path])
  t.equal(code, 0)
  t.match(stdout, /^ci-jobs: 3 missions in 10 seconds/)
  t.match(stdout, /ws:\/\/127\.0\.0\.1:\d+\/ws\/mission-control/)
  t.match(stdout, /\n {2}skipped +runs nothing, is cancelled with the reason "skipped"/)
  const rows = stdout.split('\n').filter((line) => / 1 +1 +1 +0 +0 +3$/.test(line))
  t.equal(rows.length, 4)
  for (const ending of ['completed', 'error: step_failed', 'cancelled: skipped']) t.match(stdout, `\n  1  ${ending}\n`)
  t.match(stdout, /The counts are equal/)
})

t.test('Ctrl-C ends a replay while its missions are still active', async (t) => {
  const program = startExample(t, REPLAY, [writeTrace(t, REQUESTS), '--speed', '1'])
  await program.says(/Follow it at/)
  program.signal('SIGINT')
  const { code, stdout, stderr } = await program.ended
  t.equal(code, 130)
  t.equal(stderr, '')
  t.notMatch(stdout, /The counts/)
})

t.test('surfaces with different counts are reported as different', async (t) => {
  const same = everywhere({ completed: 1, errors: 2, cancelled: 3, active: 4, stalled: 1, total: 10 })
  const others = [{ completed: 2, errors: 1 }, { stalled: 2 }].map((change) => ({ ...same, prometheus: { ...same['prometheus'], ...change } }))
  t.strictSame(await runBeside(t, `
    const { areAlike } = await import('replay/surfaces.js')
    console.log(JSON.stringify(${JSON.stringify([same, ...others])}.map(areAlike)))
  `), [true, false, false])
})

const ROW = '2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0000,63.0,26.0,1.0,30.0,M0000,0'
const wrongStep = [job(1, 'success', [0, 0, 1]), job(2, 'success', [0, 0, 1], [{ ...step('success', 0, 1), started_at: 'noon' }])]

const MALFORMED: Record<string, [content: string | object, reason: RegExp]> = {
  'an empty file': ['', /line 1: unknown format/],
  'another text': ['# Title\n', /line 1: unknown format/],
  'another header': ['gmt_create,predict_type\n', /line 1: the header must be gmt_create,/],
  'a row that is cut off': [`${HEADER}\n${ROW}\n2024-11-15 16:57:50,TXT_2_IMG\n`, /line 3: 2 columns instead of 11/],
  'a blank row': [`${HEADER}\n\n${ROW}\n`, /line 2: 1 columns instead of 11/],
  'a quoted field': [`${HEADER}\n${ROW.replace('G0000', '"G,0"')}\n`, /line 2: quoted fields are not supported/],
  'a wrong date': [`${HEADER}\n${ROW}\n${ROW.replace('11-15', '13-45')}\n`, /line 3: gmt_create is .*, but must be a date/],
  'a wrong duration': [`${HEADER}\n${ROW.replace('32.0', '-1')}\n`, /line 2: exec_time_seconds is "-1", but must be a number from 0/],
  'an unknown status': [`${HEADER}\n${ROW.replace('SUCCEED', 'LOST')}\n`, /line 2: predict_status is "LOST", but must be one of SUCCEED,/],
  'a header without rows': [`${HEADER}\n`, /line 1: the trace has no missions/],
  'JSON that is broken': ['[\n{},\n{"id": 1,\n"name" "x"}\n]\n', /line 4: not JSON from here on/],
  'JSON that is broken at its start': ['[\nx\n]\n', /line 2: not JSON from here on/],
  'JSON that is cut off': ['[\n{\n"id": 1,\n"name":', /line 4: not JSON from here on/],
  'a job that is no object': ['[7]', /line 1: expected an object/],
  'a job without a start': ['[\n{"id": 1}\n]', /line 2: started_at is missing, but must be text/],
  'a step with a wrong date': [wrongStep, /line \d+: started_at is "noon", but must be a date/],
  'a job twice': [[job(1, 'success', [0, 0, 1]), job(1, 'success', [0, 0, 1])], /line 11: job-1 is in the list twice/],
  'a run without steps': ['{\n"info": {}\n}', /line 1: trajectory is missing, but must be a list/],
  'a run without an end': ['{\n"trajectory": [],\n"info": {}\n}', /line 3: exit_status is missing, but must be text/]
}

t.test('a malformed trace is refused with the number of the wrong line', async (t) => {
  const contents = Object.values(MALFORMED).map(([content]) => typeof content === 'string' ? content : JSON.stringify(content, null, 1))
  const refusals = await runBeside(t, `
    const { readTrace, TraceError } = await import('traces/index.js')
    const refuse = (text) => {
      try { return readTrace(text).format } catch (err) { return err instanceof TraceError ? err.message : err.stack }
    }
    console.log(JSON.stringify(${JSON.stringify(contents)}.map(refuse)))
  `) as string[]
  for (const [position, [what, [, reason]]] of Object.entries(MALFORMED).entries()) t.match(refusals[position], reason, what)
})

t.test('a malformed trace is not replayed at all', async (t) => {
  const path = writeTrace(t, `${HEADER}\n${ROW}\n2024-11-15 16:57:50,TXT_2_IMG\n`)
  const { code, stdout, stderr } = await runExample(t, REPLAY, [path])
  t.equal(code, 2)
  t.equal(stdout, '')
  t.equal(stderr, `${path}: line 3: 2 columns instead of 11\n`)
})

t.test('an error in a step names the line on which the step begins', async (t) => {
  const path = writeTrace(t, wrongStep)
  const before = readFileSync(path, 'utf8').split('"noon"')[0]!
  const line = before.slice(0, before.lastIndexOf('{')).split('\n').length
  t.match((await run(REPLAY, [path])).stderr, `line ${line}: started_at`)
})

t.test('the error for a wrong command line says what to write instead', async (t) => {
  const wrong: Array<[string[], RegExp]> = [
    [[], /give the path of one trace file/],
    [['one', 'two'], /give the path of one trace file/],
    [['one', '--speed', 'fast'], /--speed is "fast", but must be a number from 0\.01 to 1000000/],
    [['one', '--on-stall', 'wait'], /--on-stall is "wait", but must be one of flag, cancel, error/],
    [['one', '--stall-ms', '0'], /--stall-ms is "0", but must be a number from 1 to 2147483647/],
    [['one', '--stall-ms', '1.5'], /--stall-ms is "1\.5", but must be a whole number/],
    [['one', '--slowly'], /--slowly/]
  ]
  const refusals = await runBeside(t, `
    const { UsageError } = await import('flags.js')
    const { readFlags } = await import('replay/flags.js')
    const refuse = (args) => {
      try { return readFlags(args) } catch (err) { return err instanceof UsageError ? err.message : err.stack }
    }
    console.log(JSON.stringify(${JSON.stringify(wrong.map(([args]) => args))}.map(refuse)))
  `) as string[]
  for (const [at, [args, reason]] of wrong.entries()) t.match(refusals[at], reason, args.join(' '))
})

t.test('a wrong command line or a missing file ends with exit code 2', async (t) => {
  const wrong = await runExample(t, REPLAY, ['--slowly'])
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /--slowly[^]*Usage: npm run replay/)
  const missing = await runExample(t, REPLAY, ['no-such-trace'])
  t.equal(missing.code, 2)
  t.match(missing.stderr, /no such file/)
})
