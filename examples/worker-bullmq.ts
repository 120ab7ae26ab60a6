// Jobs of BullMQ as missions: a worker runs the jobs, and a service in another process shows their missions. Clients of
// the service follow and cancel them. Both processes share the missions through the Redis server of the queue.
//
// They need BullMQ, its Redis driver, and a Redis server on 127.0.0.1:6379 (set REDIS_PORT for another port):
//
//   npm i fastify fastify-mission-control bullmq ioredis
//   redis-server --appendonly yes
//   node .examples/worker-bullmq.js service
//   node .examples/worker-bullmq.js worker
//
// Each runs until Ctrl-C, and may run several times. The service is on 127.0.0.1:3000 (set PORT for another port, 0 for
// any free one):
//
//   curl localhost:3000/reports -H 'content-type: application/json' -d '{"title":"year","pages":500}'
//   curl localhost:3000/reports/3                                        shows job 3 in the queue
//   curl localhost:3000/missions/report-3                                shows its mission, which runs in the worker
//   curl -X POST localhost:3000/missions/report-3/cancel                 cancels the mission and ends the job
//   curl -X DELETE localhost:3000/reports/3                              removes the job, or cancels it if it runs
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { DelayedError, Queue, UnrecoverableError, Worker, type Job } from 'bullmq'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { CancelledError, type Mission } from 'fastify-mission-control'
import type { Backplane } from 'fastify-mission-control/backplane'
import { redisBackplane } from 'fastify-mission-control/redis'
import { connectReporter, type Reporter } from 'fastify-mission-control/reporter'
import { interruption, readWholeNumber, readWord, runProgram } from './flags.js'
import { findRedis, type Redis } from './redis.js'

interface Report { pages: number, failsAtFirst?: boolean }
type Connection = Omit<Redis, 'url'>

const QUEUE = 'reports'
const PAGE_MS = 20
const RETURN_DELAY_MS = 1_000

/** The work: one task per page. It does not depend on the queue. */
async function writeReport (report: Report, attempt: number, mission: Mission): Promise<string> {
  const { pages, failsAtFirst = false } = report
  const tasks = Array.from({ length: pages }, (_, at) => `page ${at + 1}`)
  mission.tasksGenerated(tasks)
  mission.executionStarted()
  for (const page of tasks) await mission.task(page, async (signal) => await sleep(PAGE_MS, undefined, { signal }))
  if (failsAtFirst && attempt === 1) throw new Error('the printer is out of paper')
  return `${pages} pages`
}

/** Runs each job as a mission, and each start of the job as an attempt of it. */
function createWorker (missions: Reporter['missions'], connection: Connection): Worker<Report, string> {
  return new Worker<Report, string>(QUEUE, async (job, token, signal) => {
    const attempt = job.attemptsMade + 1
    const id = `report-${job.id}`
    const queuedAt = Math.min(job.timestamp, Date.now())
    const init = { id, name: job.name, tags: [QUEUE], attempt: job.attemptsStarted, queuedAt }
    try {
      return await missions.run(init, async (mission) => {
        const cancel = () => mission.cancel({ by: 'queue', reason: String(signal?.reason) })
        signal?.addEventListener('abort', cancel, { once: true })
        return await writeReport(job.data, attempt, mission)
      })
    } catch (err) {
      // A job that starts after the reporter has closed runs untracked, with an aborted signal.
      const cancelledBy = err instanceof CancelledError ? err.cancel.kind : missions.get(id)?.view().cancel?.kind
      return await returnToQueue(job, token, err, cancelledBy)
    }
  }, { connection, concurrency: 3 })
}

/**
 * Reports the end of a mission to the queue. A failed job is retried, a cancelled job is not. On shutdown the job
 * returns to the queue.
 */
async function returnToQueue (
  job: Job, token: string | undefined, err: unknown, cancelledBy: string | undefined
): Promise<never> {
  if (cancelledBy === 'shutdown') {
    // With a delay, or this worker would fetch the job again before it is closed.
    await job.moveToDelayed(Date.now() + RETURN_DELAY_MS, token)
    throw new DelayedError()
  }
  throw cancelledBy === undefined ? err : new UnrecoverableError(`cancelled (${cancelledBy})`)
}

function addRoutes (app: FastifyInstance, queue: Queue<Report, string>): void {
  app.post<{ Body: { title: string } & Report }>('/reports', async ({ body: { title, ...report } }, reply) => {
    const job = await queue.add(title, report, { attempts: 2 })
    return await reply.code(202).send({ id: job.id })
  })
  app.get<{ Params: { id: string } }>('/reports/:id', async ({ params }) => {
    // Read the state first: the result of a job is complete when the state changes.
    const state = await queue.getJobState(params.id)
    const job = await queue.getJob(params.id)
    return { state, attempts: job?.attemptsMade, result: job?.returnvalue, failure: job?.failedReason }
  })
  app.delete<{ Params: { id: string } }>('/reports/:id', async ({ params }) => {
    // A job that a worker runs is locked, and cannot be removed: its mission is cancelled in the worker instead.
    const { id } = params
    if (await queue.remove(id) === 1) return { result: 'removed' }
    return { result: app.missions.cancel(`report-${id}`, { by: 'queue', reason: 'deleted' }) }
  })
}

/** The process that clients connect to. It runs no job. */
async function runService (connection: Connection, backplane: Backplane, signal: AbortSignal): Promise<void> {
  const app = Fastify()
  await app.register(missionControl, {
    server: { name: 'reports', version: '1.0.0' }, routes: { missions: '/missions' }, backplane
  })
  app.missions.handle({ cancel: {} })
  const queue = new Queue<Report, string>(QUEUE, { connection })
  addRoutes(app, queue)
  const port = readWholeNumber('PORT', process.env['PORT'] ?? '3000', 0, 65_535)
  console.log(await app.listen({ host: '127.0.0.1', port }))

  await queue.add('week', { pages: 5 })
  await queue.add('month', { pages: 20, failsAtFirst: true }, { attempts: 2 })
  if (!signal.aborted) await once(signal, 'abort')
  await app.close()
  await queue.close()
}

/** The process that runs jobs. It serves no HTTP. */
async function runWorker (connection: Connection, backplane: Backplane, signal: AbortSignal): Promise<void> {
  const { missions, close } = await connectReporter({ backplane, service: { name: 'report-worker' } })
  missions.on('mission_update', ({ missionId, attempt = 1, name, status }) => {
    if (status !== 'execution_progress') console.log(`${missionId} ${attempt} ${name} ${status}`)
  })
  const worker = createWorker(missions, connection)
  worker.on('error', (err) => console.error(err.message))
  await worker.waitUntilReady()
  console.log('waiting for jobs')
  if (!signal.aborted) await once(signal, 'abort')

  // The worker fetches no more jobs and waits for running ones. close() cancels their missions.
  const isWorkerClosed = worker.close()
  await close()
  await isWorkerClosed
}

const USAGE = 'Usage: node .examples/worker-bullmq.js service|worker'

await runProgram(USAGE, async () => {
  const [role = ''] = process.argv.slice(2)
  const run = readWord('The first argument', role, ['service', 'worker']) === 'service' ? runService : runWorker
  const signal = interruption()
  const { url, ...connection } = await findRedis()
  await run(connection, redisBackplane({ client: url, namespace: QUEUE }), signal)
  return 0
})
