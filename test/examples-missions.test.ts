import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { WebSocket } from 'ws'
import type { MissionView } from '../schemas/index.js'
import { Client } from './support/client.js'
import { freePort, redisServer, startRedisServer, type RedisServer } from './support/redis-server.js'
import { runExample, startExample, type Ended, type Program } from './support/run-example.js'
import { onlyWith } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const folder = t.testdir()
const WORKER = '.examples/worker-bullmq.js'
const POLLER = '.examples/poller.js'

// The programs mostly wait, so they run side by side.
t.jobs = 3

/** The scripts of a page, each with the output block directly below it. */
function scriptsOf (page: string): Array<{ language: string, script: string, output: string }> {
  const found = page.matchAll(/^```(js|ts)\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm)
  return [...found].map(([, language, script, output = '']) => ({ language: language!, script: script!, output }))
}

for (const page of ['missions', 'testing']) {
  t.test(`every script in docs/${page}.md runs and prints the output shown below it`, async (t) => {
    const [beginning, ...scripts] = scriptsOf(readFileSync(join(root, `docs/${page}.md`), 'utf8'))
    t.ok(scripts.length >= 6)
    t.equal(beginning!.output, '')
    // `await using` needs a later Node.js, so it is compiled, as in a TypeScript project.
    const compile = (script: string) => ts.transpileModule(script, { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText
    for (const [at, { language, script }] of scripts.entries()) {
      const code = language === 'ts' ? compile(script) : script
      writeFileSync(join(folder, `${page}-${at}.mjs`), `${beginning!.script}\n${code}\nawait app.close()\n`)
    }
    // One process for all, because starting Node.js takes longer than most scripts.
    writeFileSync(join(folder, `${page}.mjs`), `for (let at = 0; at < ${scripts.length}; at++) {
      await import(\`./${page}-\${at}.mjs\`)
      console.log('END')
    }`)
    const { code, stdout, stderr } = await runExample(t, join(folder, `${page}.mjs`))
    t.same([code, stderr], [0, ''])
    const printed = stdout.split('END\n')
    for (const [at, { script, output }] of scripts.entries()) {
      t.not(output, '', 'its output is shown')
      t.equal(printed[at], output, script.split('\n')[0]!)
    }
  })
}

t.test('the poller follows every order to its end', async (t) => {
  const { code, stdout, stderr } = await runExample(t, POLLER)
  t.equal(code, 0)
  t.equal(stderr, '')
  const lines = stdout.trim().split('\n')
  t.equal(lines.at(-1), '4 orders: completed, completed, error, cancelled')
  const steps = (name: string) => lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1))
  t.strictSame(steps('flyer'), ['planning_started', 'execution_progress', 'completed'])
  t.match(steps('brochure').at(-1), 'error paper_out')
  t.ok(steps('poster').includes('planning_started waiting for its turn'))
  t.notOk(steps('poster').some((step) => step.includes('stalled')), 'a waiting order is not stalled')
  t.ok(steps('catalogue').includes('execution_progress stalled'), 'the hanging order is stalled')
  t.strictSame(steps('catalogue').slice(-2), ['execution_progress timeout', 'cancelled timeout'], 'and then times out')
})

t.test('the poller withdraws its orders on Ctrl-C and exits', async (t) => {
  const poller = startExample(t, POLLER)
  await poller.says(/catalogue execution_progress/)
  poller.signal('SIGINT')
  const { code, stdout, stderr } = await poller.ended
  t.equal(code, 0)
  t.equal(stderr, '')
  t.match(stdout, /catalogue cancelled request\n/)
  t.match(stdout, /\n4 orders: .*cancelled\n$/)
})

t.test('the BullMQ example says that no Redis server is reachable, or that its argument is wrong', async (t) => {
  const port = await freePort()
  const { code, stdout, stderr } = await runExample(t, WORKER, ['worker'], { REDIS_PORT: String(port) })
  t.equal(code, 2)
  t.equal(stdout, '')
  t.match(stderr, `no Redis server on 127.0.0.1:${port}`)
  t.match(await runExample(t, WORKER), { code: 2, stderr: /must be one of service, worker\n\nUsage: / })
})

interface Job { state: string, attempts: number, result: string | null, failure?: string }

const startWorker = async (t: Test, { port }: RedisServer): Promise<Program> => {
  const worker = startExample(t, WORKER, ['worker'], { REDIS_PORT: String(port) })
  await worker.says(/waiting for jobs/)
  return worker
}

const stop = async (t: Test, ...programs: Program[]): Promise<Ended[]> => {
  for (const program of programs) program.signal('SIGINT')
  const ended = await Promise.all(programs.map(async (program) => await program.ended))
  for (const { code, stderr } of ended) t.strictSame([code, stderr], [0, ''])
  return ended
}

/** Starts the service, with functions for its HTTP routes and a client of its WebSocket route. */
async function startService (t: Test, { port }: RedisServer) {
  const program = startExample(t, WORKER, ['service'], { REDIS_PORT: String(port), PORT: '0' })
  const [url] = await program.says(/http:\/\/\S+/)
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws/mission-control`)
  const client = new Client(socket)
  await once(socket, 'open')
  await client.subscribe('mission_update')
  const ask = async (method: string, path: string, body?: object) => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    return await (await fetch(url + path, init)).json() as unknown
  }
  return {
    program,
    client,
    add: async (title: string, pages: number) => (await ask('POST', '/reports', { title, pages }) as { id: string }).id,
    remove: async (id: string) => await ask('DELETE', `/reports/${id}`),
    view: async (id: string) => await ask('GET', `/missions/report-${id}`) as MissionView,
    /** Waits until the queue has the job in one of these states, a few round trips to Redis after the mission has ended. */
    job: async (id: string, ...states: string[]): Promise<Job> => {
      for (;;) {
        const job = await ask('GET', `/reports/${id}`) as Job
        if (states.includes(job.state)) return job
      }
    },
    /** Waits for the update with which a mission enters a status. */
    step: async (missionId: string, status: string) =>
      (await client.next('mission_update', ({ payload }) => payload.missionId === missionId && payload.status === status)).payload
  }
}

t.test('BullMQ, with the worker and the service in two processes', onlyWith(redisServer), async (t) => {
  const redis = await startRedisServer()
  t.teardown(async () => await redis.close())

  t.test('each attempt of a job is a mission with one task per page, which clients of the service see', async (t) => {
    const service = await startService(t, redis)
    const worker = await startWorker(t, redis)
    const seen: string[] = []
    for (let ended = 0; ended < 2;) {
      const { payload: { missionId, attempt = 1, status, progress } } = await service.client.next('mission_update')
      seen.push(`${missionId} ${attempt} ${status}${progress?.status === 'completed' && status === 'execution_progress' ? ` ${progress.taskId}` : ''}`)
      if (status === 'completed') ended++
    }
    t.match(await service.job('1', 'completed'), { attempts: 1, result: '5 pages' })
    t.match(await service.job('2', 'completed'), { attempts: 2, result: '20 pages', failure: 'the printer is out of paper' })
    const [one, two] = [await service.view('1'), await service.view('2')]
    t.equal(one.instance, two.instance, 'the worker')
    t.equal(one.tasks.length, 5)
    t.match(two, { attempt: 2, attempts: [{ attempt: 1, status: 'error' }] })
    const [{ stdout }] = await stop(t, worker, service.program) as [Ended]
    const steps = (id: string, lines: readonly string[]) => lines.flatMap((line) => new RegExp(`^${id} (?:\\w+ )?(\\w+)$`).exec(line)?.[1] ?? [])
    for (const [id, end] of [['report-1 1', 'completed'], ['report-2 1', 'error'], ['report-2 2', 'completed']] as const) {
      const expected = ['planning_started', 'tasks_generated', 'execution_started', end]
      t.strictSame(steps(id, stdout.split('\n')), expected, `${id} in the worker`)
      t.strictSame(steps(id, seen).filter((status) => status !== 'execution_progress'), expected, `${id} at the client`)
    }
    t.ok(seen.some((line) => line.startsWith('report-1 1 execution_progress page ')))
  })

  t.test('a job ends when its mission is cancelled in the service, or the job is removed, without another attempt', async (t) => {
    const { program, client, add, remove, job, step } = await startService(t, redis)
    const [one, other] = [await add('year', 5_000), await add('decade', 5_000)]
    const early = await add('week', 1)
    t.same(await remove(early), { result: 'removed' })
    const worker = await startWorker(t, redis)
    await step(`report-${one}`, 'execution_progress')
    client.send({ type: 'mission_cancel', missionId: `report-${one}` })
    t.match((await client.next('mission_ack')).payload, { action: 'cancel' })
    t.match(await step(`report-${one}`, 'cancelled'), { cancel: { kind: 'client' } })
    t.match(await job(one, 'failed'), { attempts: 1, failure: 'cancelled (client)' })

    await step(`report-${other}`, 'execution_progress')
    t.same(await remove(other), { result: 'requested' })
    t.match(await step(`report-${other}`, 'cancelled'), { cancel: { kind: 'request', by: 'queue', reason: 'deleted' } })
    t.match(await job(other, 'failed'), { attempts: 1, failure: 'cancelled (request)' })
    await stop(t, worker, program)
  })

  t.test('a job returns to the queue when its worker is shut down, and the next worker runs it as another attempt', async (t) => {
    const { program, client, add, step, job } = await startService(t, redis)
    const worker = await startWorker(t, redis)
    const id = await add('century', 50)
    await step(`report-${id}`, 'execution_progress')
    await stop(t, worker)
    t.match(await step(`report-${id}`, 'cancelled'), { cancel: { kind: 'shutdown' } })
    t.equal(client.socket.readyState, client.socket.OPEN, 'the clients are connected to the service')

    const next = await startWorker(t, redis)
    t.match(await step(`report-${id}`, 'completed'), { name: 'century', attempt: 2 })
    t.match(await job(id, 'completed', 'failed'), { state: 'completed', attempts: 1, result: '50 pages' })
    await stop(t, next, program)
  })
})
