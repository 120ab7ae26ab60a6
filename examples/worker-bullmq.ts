// A BullMQ worker whose jobs are missions, so that clients can follow and cancel them.
//
// It needs BullMQ, its Redis driver, and a Redis server on 127.0.0.1:6379 (set REDIS_PORT for another port):
//
//   npm i fastify fastify-mission-control bullmq ioredis
//   redis-server
//
// It runs until Ctrl-C, with a service on 127.0.0.1:3000 (set PORT for another port, 0 for any free one):
//
//   curl localhost:3000/reports -H 'content-type: application/json' -d '{"title":"year","pages":500}'
//   curl localhost:3000/reports/3                                        shows job 3 in the queue
//   curl -X POST localhost:3000/missions/report-3/cancel                 cancels the mission and ends the job
//   curl -X DELETE localhost:3000/reports/3                              removes the job and cancels the mission
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { DelayedError, Queue, UnrecoverableError, Worker, type Job } from 'bullmq'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { CancelledError, type Mission } from 'fastify-mission-control'
import { InputError, interruption, readWholeNumber, runProgram } from './flags.js'

interface Report { pages: number, failsAtFirst?: boolean }
interface Redis { host: string, port: number }

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
function createWorker (app: FastifyInstance, connection: Redis): Worker<Report, string> {
  return new Worker<Report, string>(QUEUE, async (job, token, signal) => {
    const attempt = job.attemptsMade + 1
    const id = `report-${job.id}`
    const queuedAt = Math.min(job.timestamp, Date.now())
    const init = { id, name: job.name, tags: [QUEUE], attempt: job.attemptsStarted, queuedAt }
    try {
      return await app.missions.run(init, async (mission) => {
        const cancel = () => mission.cancel({ by: 'queue', reason: String(signal?.reason) })
        signal?.addEventListener('abort', cancel, { once: true })
        return await writeReport(job.data, attempt, mission)
      })
    } catch (err) {
      // A job that starts after the service has closed runs untracked, with an aborted signal.
      const cancelledBy = err instanceof CancelledError ? err.cancel.kind : app.missions.get(id)?.view().cancel?.kind
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

function addRoutes (app: FastifyInstance, queue: Queue<Report, string>, worker: Worker<Report, string>): void {
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
    return { isCancelled: worker.cancelJob(params.id, 'deleted') }
  })
}

/** Fails early without a Redis server; BullMQ would wait for it silently. */
async function checkRedis ({ host, port }: Redis): Promise<void> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
  } catch {
    throw new InputError(`There is no Redis server on ${host}:${port}. Start redis-server, or set REDIS_PORT.`)
  } finally {
    socket.destroy()
  }
}

await runProgram('Usage: node .examples/worker-bullmq.js', async () => {
  const signal = interruption()
  const redisPort = readWholeNumber('REDIS_PORT', process.env['REDIS_PORT'] ?? '6379', 1, 65_535)
  const connection = { host: '127.0.0.1', port: redisPort }
  await checkRedis(connection)

  const app = Fastify()
  await app.register(missionControl, {
    server: { name: 'reports', version: '1.0.0' },
    routes: { missions: '/missions' }
  })
  app.missions.handle({ cancel: {} })
  app.missions.on('mission_update', ({ missionId, attempt = 1, name, status }) => {
    if (status !== 'execution_progress') console.log(`${missionId} ${attempt} ${name} ${status}`)
  })
  const queue = new Queue<Report, string>(QUEUE, { connection })
  const worker = createWorker(app, connection)
  worker.on('error', (err) => console.error(err.message))
  addRoutes(app, queue, worker)
  const port = readWholeNumber('PORT', process.env['PORT'] ?? '3000', 0, 65_535)
  console.log(await app.listen({ host: '127.0.0.1', port }))

  await queue.add('week', { pages: 5 })
  await queue.add('month', { pages: 20, failsAtFirst: true }, { attempts: 2 })
  if (!signal.aborted) await once(signal, 'abort')

  // The worker fetches no more jobs and waits for running ones. app.close() cancels their missions.
  const isWorkerClosed = worker.close()
  await app.close()
  await isWorkerClosed
  await queue.close()
  return 0
})
