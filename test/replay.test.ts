import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runExample } from './support/run-example.js'
import { onlyWith, pathOf } from './support/skip.js'
import { traceFile } from './support/trace-data.js'

interface Counts { completed: number, errors: number, cancelled: number, active: number, total: number }
interface Replay {
  code: number | null
  format: string
  events: number
  tookMs: number
  isAlike: boolean
  surfaces: Record<string, Counts>
  operations: { success: number, error: number }
  meanDurationMs: number | null
}

async function replay (t: Test, path: string, ...flags: string[]): Promise<Replay> {
  const { code, stdout, stderr } = await runExample(t, '.examples/replay.js', [path, '--json', ...flags])
  t.equal(stderr, '')
  return { code, ...JSON.parse(stdout) as Omit<Replay, 'code'> }
}

/** Every surface must show these counts: the message, what the viewer counted, the scrape and the registry. */
function everywhere (counts: Counts): Record<string, Counts> {
  return { websocket: counts, updates: counts, prometheus: counts, registry: counts }
}

function writeTrace (t: Test, content: string | object): string {
  const text = typeof content === 'string' ? content : JSON.stringify(content, null, 1)
  return join(t.testdir({ trace: text }), 'trace')
}

const HEADER = 'gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,negative_prompt_length,' +
  'num_images_per_prompt,num_inference_steps,checkpoint_model_version_id,num_lora'

const requests = traceFile('genai-requests.csv')
const jobs = traceFile('ci-jobs.json')
const run = traceFile('coding-agent-run.json')

t.test('24 days of requests end with the same totals on every surface', onlyWith(requests), async (t) => {
  const result = await replay(t, pathOf(requests))
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 26_392, errors: 398, cancelled: 0, active: 33, total: 26_823 }))
  t.strictSame(result.operations, { success: 26_392, error: 398 })

  const rows = readFileSync(pathOf(requests), 'utf8').trim().split('\n').slice(1).map((line) => line.split(','))
  const seconds = rows.filter(([, , status]) => status === 'SUCCEED' || status === 'FAILED').map((row) => Number(row[3]))
  const mean = seconds.reduce((sum, value) => sum + value, 0) / seconds.length * 1_000
  t.ok(Math.abs(result.meanDurationMs! - mean) < 1e-6 * mean, `a mean of ${result.meanDurationMs} ms instead of ${mean}`)
})

t.test('the jobs of a CI service end as they were concluded', onlyWith(jobs), async (t) => {
  interface Concluded { conclusion: string, steps: Array<{ conclusion: string }> }
  const list = JSON.parse(readFileSync(pathOf(jobs), 'utf8')) as Concluded[]
  const count = (all: Array<{ conclusion: string }>, ...conclusions: string[]) => all.filter(({ conclusion }) => conclusions.includes(conclusion)).length
  const result = await replay(t, pathOf(jobs))
  t.equal(result.code, 0)
  t.equal(result.format, 'ci-jobs')
  t.strictSame(result.surfaces, everywhere({
    completed: count(list, 'success'),
    errors: count(list, 'failure'),
    cancelled: count(list, 'cancelled', 'skipped'),
    active: 0,
    total: list.length
  }))
  const steps = list.flatMap((job) => job.steps)
  t.strictSame(result.operations, { success: count(steps, 'success'), error: count(steps, 'failure') })
})

t.test('a run of a coding agent is one mission with all of its steps', onlyWith(run), async (t) => {
  const { trajectory } = JSON.parse(readFileSync(pathOf(run), 'utf8')) as { trajectory: Array<{ execution_time_seconds: number }> }
  const result = await replay(t, pathOf(run))
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
  t.strictSame(result.operations, { success: trajectory.length, error: 0 })
  const seconds = trajectory.reduce((sum, step) => sum + step.execution_time_seconds, 0)
  t.ok(Math.abs(result.meanDurationMs! - seconds * 1_000) < 1)
})

t.test('a request ends when its duration is over, and one that never ended stays active', async (t) => {
  const path = writeTrace(t, [
    HEADER,
    '2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,30.0,G0000,63.0,26.0,1.0,30.0,M0000,0',
    '2024-11-15 16:57:50,TXT_2_IMG,FAILED,10.0,G0001,,,,,,0',
    '2024-11-15 16:58:00,IMG_2_IMG,PENDING,0.0,G0001,93.0,,1.0,40.0,M0001,0',
    '2024-11-16 18:00:00,INPAINTING,PROCESSING,21.0,G0002,93.0,,1.0,40.0,M0001,0',
    ''
  ].join('\n'))
  const result = await replay(t, path)
  t.equal(result.code, 0)
  t.equal(result.format, 'genai-requests')
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 0, active: 2, total: 4 }))
  t.strictSame(result.operations, { success: 1, error: 1 })
  t.equal(result.meanDurationMs, 20_000)
})

const at = (second: number) => new Date(Date.UTC(2024, 0, 1, 12, 0, second)).toISOString()
const step = (conclusion: string, from: number, to: number) => ({ name: `step ${from}`, conclusion, started_at: at(from), completed_at: at(to) })
const job = (id: number, conclusion: string, [created, started, completed]: [number, number, number], steps: object[] = []) =>
  ({ id, name: 'build', conclusion, created_at: at(created), started_at: at(started), completed_at: at(completed), steps })

t.test('a job lasts from its creation to its end, whatever the clocks of its steps say', async (t) => {
  const path = writeTrace(t, [
    job(1, 'success', [0, 5, 20], [step('success', 4, 9), step('skipped', 12, 12), step('success', 10, 11)]),
    job(2, 'failure', [6, 4, 14], [step('failure', 3, 25)]),
    job(3, 'cancelled', [0, 0, 10], [step('cancelled', 1, 5)]),
    job(4, 'skipped', [0, 0, 0])
  ])
  const result = await replay(t, path)
  t.equal(result.code, 0)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 1, cancelled: 2, active: 0, total: 4 }))
  t.strictSame(result.operations, { success: 2, error: 1 })
  // Job 2 started 2 s before it was created: 20 + 10 + 10 + 0 seconds in all.
  t.equal(result.meanDurationMs, 10_000)
})

t.test('clients stay connected over a year in which nothing happens', async (t) => {
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

t.test('an agent that did not submit has failed', async (t) => {
  const submitted = await replay(t, writeTrace(t, agentRun('submitted')))
  t.strictSame(submitted.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
  t.equal(submitted.meanDurationMs, 2_000)
  const stopped = await replay(t, writeTrace(t, agentRun('exit_cost')))
  t.strictSame(stopped.surfaces, everywhere({ completed: 0, errors: 1, cancelled: 0, active: 0, total: 1 }))
})

t.test('--speed plays a trace in that multiple of real time', async (t) => {
  const result = await replay(t, writeTrace(t, agentRun('submitted')), '--speed', '10')
  t.equal(result.code, 0)
  t.ok(result.tookMs >= 200, `2 s at ten times their speed took ${result.tookMs} ms`)
  t.strictSame(result.surfaces, everywhere({ completed: 1, errors: 0, cancelled: 0, active: 0, total: 1 }))
})

t.test('the result is a table for people', async (t) => {
  const { code, stdout } = await runExample(t, '.examples/replay.js', [writeTrace(t, [job(1, 'success', [0, 0, 10]), job(2, 'failure', [0, 0, 10])])])
  t.equal(code, 0)
  t.match(stdout, /^ci-jobs: 6 events/)
  t.match(stdout, /ws:\/\/127\.0\.0\.1:\d+\/ws\/mission-control/)
  const rows = stdout.split('\n').filter((line) => / 1 +1 +0 +0 +2$/.test(line))
  t.equal(rows.length, 4)
  t.match(stdout, /The surfaces agree/)
})

t.test('surfaces that show different counts are not alike', async (t) => {
  const same = everywhere({ completed: 1, errors: 2, cancelled: 3, active: 4, total: 10 })
  const other = { ...same, prometheus: { completed: 2, errors: 1, cancelled: 3, active: 4, total: 10 } }
  const script = join(t.testdir({
    'compare.mjs': `
      const { areAlike } = await import(${JSON.stringify(new URL('../.examples/replay/surfaces.js', import.meta.url).href)})
      console.log(${JSON.stringify([same, other])}.map(areAlike).join())
    `
  }), 'compare.mjs')
  t.equal((await runExample(t, script)).stdout, 'true,false\n')
})

const ROW = '2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0000,63.0,26.0,1.0,30.0,M0000,0'
const wrongStep = [job(1, 'success', [0, 0, 1]), job(2, 'success', [0, 0, 1], [{ ...step('success', 0, 1), started_at: 'noon' }])]

const MALFORMED: Record<string, [content: string | object, reason: RegExp]> = {
  'an empty file': ['', /line 1: this is neither/],
  'another text': ['# Title\n', /line 1: this is neither/],
  'another header': ['gmt_create,predict_type\n', /line 1: the header must be gmt_create,/],
  'a row that is cut off': [`${HEADER}\n${ROW}\n2024-11-15 16:57:50,TXT_2_IMG\n`, /line 3: 2 columns instead of 11/],
  'a blank row': [`${HEADER}\n\n${ROW}\n`, /line 2: 1 columns instead of 11/],
  'a quoted field': [`${HEADER}\n${ROW.replace('G0000', '"G,0"')}\n`, /line 2: quoted fields are not supported/],
  'a wrong date': [`${HEADER}\n${ROW}\n${ROW.replace('11-15', '13-45')}\n`, /line 3: gmt_create is .*, but must be a date/],
  'a wrong duration': [`${HEADER}\n${ROW.replace('32.0', '-1')}\n`, /line 2: exec_time_seconds is "-1", but must be a number from 0/],
  'an unknown status': [`${HEADER}\n${ROW.replace('SUCCEED', 'LOST')}\n`, /line 2: predict_status is "LOST", but must be one of SUCCEED,/],
  'a header without rows': [`${HEADER}\n`, /line 1: the trace has no events/],
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

t.test('a malformed trace is refused with the line that is wrong', async (t) => {
  const contents = Object.values(MALFORMED).map(([content]) => typeof content === 'string' ? content : JSON.stringify(content, null, 1))
  const script = join(t.testdir({
    'read.mjs': `
      const { readTrace, TraceError } = await import(${JSON.stringify(new URL('../.examples/traces/index.js', import.meta.url).href)})
      const refuse = (text) => {
        try { return readTrace(text).format } catch (err) { return err instanceof TraceError ? err.message : err.stack }
      }
      console.log(JSON.stringify(${JSON.stringify(contents)}.map(refuse)))
    `
  }), 'read.mjs')
  const refusals = JSON.parse((await runExample(t, script)).stdout) as string[]
  for (const [position, [what, [, reason]]] of Object.entries(MALFORMED).entries()) t.match(refusals[position], reason, what)
})

t.test('nothing of a malformed trace is replayed', async (t) => {
  const path = writeTrace(t, `${HEADER}\n${ROW}\n2024-11-15 16:57:50,TXT_2_IMG\n`)
  const { code, stdout, stderr } = await runExample(t, '.examples/replay.js', [path])
  t.equal(code, 2)
  t.equal(stdout, '')
  t.equal(stderr, `${path}: line 3: 2 columns instead of 11\n`)
})

t.test('the line of a wrong step is the line where the step begins', async (t) => {
  const path = writeTrace(t, wrongStep)
  const before = readFileSync(path, 'utf8').split('"noon"')[0]!
  const line = before.slice(0, before.lastIndexOf('{')).split('\n').length
  t.match((await runExample(t, '.examples/replay.js', [path])).stderr, `line ${line}: started_at`)
})

t.test('a wrong command line tells what to write instead', async (t) => {
  const path = writeTrace(t, `${HEADER}\n${ROW}\n`)
  const wrong: Array<[string[], RegExp]> = [
    [[], /give the path of one trace file/],
    [[path, path], /give the path of one trace file/],
    [[path, '--speed', 'fast'], /--speed is "fast", but must be a number from 0\.01 to 1000000/],
    [[path, '--slowly'], /--slowly/]
  ]
  await Promise.all(wrong.map(async ([args, reason]) => {
    const { code, stderr } = await runExample(t, '.examples/replay.js', args)
    t.equal(code, 2)
    t.match(stderr, reason)
    t.match(stderr, /Usage: npm run replay/)
  }))
  const missing = await runExample(t, '.examples/replay.js', [`${path}.missing`])
  t.equal(missing.code, 2)
  t.match(missing.stderr, /no such file/)
})
