import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { WebSocket } from 'ws'
import { Client } from './support/client.js'
import { Program, runExample, startExample } from './support/run-example.js'
import { findRedisServer, onlyWith, pathOf } from './support/skip.js'

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

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
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

t.test('the BullMQ worker says that no Redis server is reachable', async (t) => {
  const port = await freePort()
  const { code, stdout, stderr } = await runExample(t, WORKER, [], { REDIS_PORT: String(port) })
  t.equal(code, 2)
  t.equal(stdout, '')
  t.match(stderr, `no Redis server on 127.0.0.1:${port}`)
})

const redisServer = findRedisServer()

/** Starts a Redis server for this test only; nothing is saved. */
async function startRedis (t: Test): Promise<number> {
  const port = await freePort()
  const child = spawn(pathOf(redisServer), ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder])
  t.teardown(() => { child.kill('SIGKILL') })
  await new Program(child).says(/Ready to accept connections/)
  return port
}

interface Job { state: string, attempts: number, result: string | null, failure?: string }

/** Starts the worker, with functions for its HTTP routes and a client of its WebSocket route. */
async function startWorker (t: Test, redisPort: number) {
  const program = startExample(t, WORKER, [], { REDIS_PORT: String(redisPort), PORT: '0' })
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

t.test('the BullMQ worker', onlyWith(redisServer), async (t) => {
  const redisPort = await startRedis(t)

  t.test('runs each attempt of a job as a mission, with one task per page', async (t) => {
    const { program, job } = await startWorker(t, redisPort)
    t.match(await job('1', 'completed'), { attempts: 1, result: '5 pages' })
    t.match(await job('2', 'completed'), { attempts: 2, result: '20 pages', failure: 'the printer is out of paper' })
    program.signal('SIGINT')
    const { code, stdout, stderr } = await program.ended
    t.equal(code, 0)
    t.equal(stderr, '')
    const steps = (id: string) => [...stdout.matchAll(new RegExp(`^${id} \\w+ (\\w+)$`, 'gm'))].map(([, status]) => status)
    t.strictSame(steps('report-1 1'), ['planning_started', 'tasks_generated', 'execution_started', 'completed'])
    t.strictSame(steps('report-2 1'), ['planning_started', 'tasks_generated', 'execution_started', 'error'])
    t.strictSame(steps('report-2 2'), ['planning_started', 'tasks_generated', 'execution_started', 'completed'])
  })

  t.test('ends a job when its mission is cancelled, and a mission when its job is removed, without another attempt', async (t) => {
    const { program, client, add, remove, job, step } = await startWorker(t, redisPort)
    const [one, other] = [await add('year', 5_000), await add('decade', 5_000)]
    await step(`report-${one}`, 'execution_progress')
    client.send({ type: 'mission_cancel', missionId: `report-${one}` })
    t.match((await client.next('mission_ack')).payload, { action: 'cancel' })
    t.match(await step(`report-${one}`, 'cancelled'), { cancel: { kind: 'client' } })
    t.match(await job(one, 'failed'), { attempts: 1, failure: 'cancelled (client)' })

    await step(`report-${other}`, 'execution_progress')
    t.same(await remove(other), { isCancelled: true })
    t.match(await step(`report-${other}`, 'cancelled'), { cancel: { kind: 'request', by: 'queue' } })
    t.match(await job(other, 'failed'), { attempts: 1, failure: 'cancelled (request)' })
    program.signal('SIGINT')
    t.match(await program.ended, { code: 0, stderr: '' })
  })

  t.test('returns a job to the queue when a shutdown interrupts it, and the next worker runs it', async (t) => {
    const { program, client, add, step } = await startWorker(t, redisPort)
    const id = await add('century', 50)
    await step(`report-${id}`, 'execution_progress')
    program.signal('SIGTERM')
    t.match(await step(`report-${id}`, 'cancelled'), { cancel: { kind: 'shutdown' } })
    t.match(await client.closed, { code: 1012 })
    t.match(await program.ended, { code: 0, stderr: '' })

    const next = await startWorker(t, redisPort)
    t.match(await next.job(id, 'completed', 'failed'), { state: 'completed', attempts: 1, result: '50 pages' })
    t.match(await next.step(`report-${id}`, 'completed'), { name: 'century', attempt: 2 })
    next.program.signal('SIGINT')
    t.match(await next.program.ended, { code: 0, stderr: '' })
  })
})
