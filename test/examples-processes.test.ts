import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { redisBackplane } from '../lib/backplane/redis/index.js'
import { connectReporter, type Reporter } from '../lib/reporter.js'
import type { MissionUpdate, MissionView, WsMetricsResponse } from '../schemas/index.js'
import { launchChromium } from './support/chromium.js'
import { Client } from './support/client.js'
import { freePort, redisServer, startRedisServer, type RedisServer } from './support/redis-server.js'
import { startExample, type Program } from './support/run-example.js'
import { findChromium, onlyWith } from './support/skip.js'

const root = resolve(fileURLToPath(import.meta.url), '../..')
const page = readFileSync(join(root, 'docs/scaling.md'), 'utf8')
const browser = findChromium()

// The programs mostly wait, so they run side by side.
t.jobs = 3

async function startRedis (t: Test): Promise<RedisServer> {
  const redis = await startRedisServer()
  t.teardown(async () => await redis.close())
  return redis
}

const kill = (pid: number, signal: NodeJS.Signals): void => { process.kill(pid, signal) }

t.test('the quick start in docs/scaling.md: clients of two services see the mission of a worker', onlyWith(redisServer), async (t) => {
  const { url } = await startRedis(t)
  const [service, worker] = [...page.split('## What holds')[0]!.matchAll(/^```js\n([^]*?)^```$/gm)].map(([, script]) => script!)
  const folder = t.testdir()
  const save = (name: string, script: string): string => {
    writeFileSync(join(folder, name), script)
    return join(folder, name)
  }
  const path = save('service.mjs', service!)
  const clients = await Promise.all([1, 2].map(async () => {
    const [address] = await startExample(t, path, [], { REDIS_URL: url, PORT: '0' }).says(/http:\/\/\S+/)
    const socket = new WebSocket(`${address.replace('http', 'ws')}/ws/mission-control`)
    await once(socket, 'open')
    t.teardown(() => { socket.terminate() })
    return await new Client(socket).subscribe('mission_update')
  }))
  const { code, stderr } = await startExample(t, save('worker.mjs', worker!), [], { REDIS_URL: url }).ended
  t.strictSame([code, stderr], [0, ''])
  for (const client of clients) {
    t.match((await client.next('mission_update', ({ payload: { progress } }) => progress?.index === 5)).payload, { name: 'import' })
    await client.next('mission_update', ({ payload: { status } }) => status === 'completed')
  }
})

t.test('the ACL in docs/scaling.md allows everything that the backplane needs', onlyWith(redisServer), async (t) => {
  const redis = await startRedis(t)
  const [, rule] = /^ACL SETUSER (.*)$/m.exec(page)!
  const admin = new Redis(redis.url)
  t.teardown(() => { admin.disconnect() })
  await admin.call('acl', 'setuser', ...rule!.split(' '))
  const url = `redis://orders:secret@127.0.0.1:${redis.port}`
  const reporters = await Promise.all([1, 2].map(async () =>
    await connectReporter({ backplane: redisBackplane({ client: url, namespace: 'orders' }) })))
  const [one, two] = reporters as [Reporter, Reporter]
  const mission = one.missions.spawn({ id: 'a', name: 'import' }, async ({ signal }) => {
    await new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
  })
  for await (const { progress } of two.missions.subscribe({ id: 'a' })) {
    if (progress === null) mission.progress(50)
    else two.missions.cancel('a')
  }
  t.match(await mission.settled(), { status: 'cancelled' })
  for (const { close } of reporters) await close()
  t.strictSame(await admin.call('acl', 'log'), [])
})

t.test('four workers of node:cluster on one port', onlyWith(redisServer), async (t) => {
  const redis = await startRedis(t)
  const port = await freePort()
  const program = startExample(t, '.examples/cluster.js', [], { REDIS_PORT: String(redis.port), PORT: String(port) })
  const started = (): number[] => [...program.stdout.matchAll(/^worker (\d+) listens/gm)].map(([, pid]) => Number(pid))
  for (let count = 1; count <= 4; count++) await program.says(new RegExp(`(?:^worker \\d+ listens[^]*?){${count}}`, 'm'))
  const pids = started()
  t.equal(new Set(pids).size, 4)

  /** Asks whichever worker answers, each time over a new connection. */
  const list = async (): Promise<{ worker: number, missions: MissionView[] }> => {
    const response = await fetch(`http://127.0.0.1:${port}/missions?tag=counter`, { headers: { connection: 'close' } })
    const { missions } = await response.json() as { missions: MissionView[] }
    return { worker: Number(response.headers.get('x-worker')), missions }
  }
  /** Waits until each of the workers has given an answer that fits. */
  const listAll = async (workers: readonly number[], fits: (missions: MissionView[]) => boolean): Promise<MissionView[][]> => {
    const answers = new Map<number, MissionView[]>()
    while (answers.size < workers.length) {
      const { worker, missions } = await list()
      if (workers.includes(worker) && fits(missions)) answers.set(worker, missions)
    }
    return [...answers.values()]
  }

  t.test('every worker lists all missions', async (t) => {
    const names = pids.map((pid) => `worker ${pid}`).sort()
    for (const missions of await listAll(pids, ({ length }) => length === 4)) {
      t.strictSame(missions.map(({ name }) => name).sort(), names)
      t.equal(new Set(missions.map(({ instance }) => instance)).size, 4)
    }
  })

  t.test('the mission of a worker that is killed ends as process_lost in all others', async (t) => {
    const [killed, ...others] = pids as [number, ...number[]]
    kill(killed, 'SIGKILL')
    // Until the primary knows, it passes connections to the worker that is dead, where they hang.
    await program.says(/(?:^worker \d+ listens[^]*?){5}/m)
    const isLost = ({ name, error }: MissionView) => name === `worker ${killed}` && error?.code === 'process_lost'
    for (const missions of await listAll(others, (missions) => missions.some(isLost))) {
      t.equal(missions.filter(({ status }) => status === 'error').length, 1)
    }
  })

  t.test('any worker cancels the mission of any other', async (t) => {
    const { missions } = await list()
    const { id } = missions.find(({ name }) => name === `worker ${pids[1]}`)!
    const response = await fetch(`http://127.0.0.1:${port}/missions/${id}/cancel`, { method: 'POST', headers: { connection: 'close' } })
    t.equal(response.status, 202)
    await listAll(pids.slice(1), (missions) => missions.find((mission) => mission.id === id)?.status === 'cancelled')
    program.signal('SIGINT')
    const { code, stderr } = await program.ended
    t.strictSame([code, stderr], [0, ''])
  })
})

interface Step extends MissionUpdate { gap?: string }

/** The replica that the page is connected to. */
async function findReplica (program: Program): Promise<number> {
  for (;;) {
    for (const [, pid, port] of program.stdout.matchAll(/^replica (\d+) on port (\d+)$/gm)) {
      const response = await fetch(`http://127.0.0.1:${port}/mission-control/ws-metrics`).catch(() => undefined)
      if (response?.ok !== true) continue
      const { metrics } = await response.json() as WsMetricsResponse
      if (metrics.connectionsOpen > 0) return Number(pid)
    }
  }
}

const readSteps = async (page: Page): Promise<Step[]> => await page.evaluate('steps')

t.test('a page behind a proxy loses no step when its replica is stopped or killed', onlyWith(redisServer, browser), async (t) => {
  const redis = await startRedis(t)
  const program = startExample(t, '.examples/replicas.js', [], { REDIS_PORT: String(redis.port), PORT: '0' })
  const [url] = await program.says(/http:\/\/\S+/)
  await program.says(/(?:^replica \d+ on port[^]*?){2}/m)
  const chrome = await launchChromium(t, browser)
  const page = await chrome.newPage()
  await page.goto(url)
  await page.waitForFunction('steps.length > 0')
  for (const [at, signal] of (['SIGTERM', 'SIGKILL', 'SIGTERM'] as const).entries()) {
    const replica = await findReplica(program)
    kill(replica, signal)
    await program.says(new RegExp(`(?:^replica \\d+ on port[^]*?){${at + 3}}`, 'm'))
    const { length } = await readSteps(page)
    await page.waitForFunction(`client.state === 'open' && steps.length > ${length}`)
    t.not(await findReplica(program), replica)
  }
  const { length } = await readSteps(page)
  await page.waitForFunction(`steps.slice(${length}).filter(({ status }) => status === 'completed').length > 0`)
  const steps = await readSteps(page)
  program.signal('SIGINT')
  t.match(await program.ended, { code: 0, stderr: '' })
  t.strictSame(steps.filter(({ gap }) => gap !== undefined), [])
  for (const id of new Set(steps.map(({ missionId }) => missionId))) {
    const seqs = steps.filter(({ missionId }) => missionId === id).map(({ seq }) => seq)
    t.strictSame(seqs, seqs.map((_, at) => seqs[0]! + at), `${id}: each step once and in order`)
  }
})
