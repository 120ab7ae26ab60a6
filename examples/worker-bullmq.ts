// A BullMQ worker whose jobs are missions: everybody sees how far they are, and may cancel them.
//
// It needs BullMQ, its Redis driver, and a Redis server on 127.0.0.1:6379 (REDIS_PORT names another port):
//
//   npm i fastify fastify-mission-control bullmq ioredis
//   redis-server
//
// It goes on until Ctrl-C, with a service on 127.0.0.1:3000 (PORT names another port, 0 any free one):
//
//   curl localhost:3000/reports -H 'content-type: application/json' -d '{"title":"year","pages":500}'
//   curl localhost:3000/reports/3                                        what the queue knows of job 3
//   curl -X POST localhost:3000/missions/report-3-1/cancel               ends the mission, and with it the job
//   curl -X DELETE localhost:3000/reports/3                              ends the job, and with it the mission
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { DelayedError, Queue, UnrecoverableError, Worker, type Job } from 'bullmq'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { type Mission } from 'fastify-mission-control'
import { InputError, interruption, readWholeNumber, runProgram } from './flags.js'

interface Report { pages: number, failsAtFirst?: boolean }
interface Redis { host: string, port: number }

const QUEUE = 'reports'
const PAGE_MS = 20
const GO_BACK_MS = 1_000

/** The work. It knows missions, and nothing of queues; every page is a task. */
async function writeReport ({ pages, failsAtFirst = false }: Report, attempt: number, mission: Mission): Promise<string> {
  const tasks = Array.from({ length: pages }, (_, at) => `page ${at + 1}`)
  mission.tasksGenerated(tasks)
  mission.executionStarted()
  for (const page of tasks) await mission.task(page, async (signal) => await sleep(PAGE_MS, undefined, { signal }))
  if (failsAtFirst && attempt === 1) throw new Error('the printer is out of paper')
  return `${pages} pages`
}

/** Each try of a job is a mission of its own: a mission ends once, and the next try is another piece of work. */
function createWorker (app: FastifyInstance, connection: Redis): Worker<Report, string> {
  return new Worker<Report, string>(QUEUE, async (job, token, signal) => {
    const attempt = job.attemptsMade + 1
    const id = `report-${job.id}-${job.attemptsStarted}`
    try {
      return await app.missions.run({ id, name: job.name, tags: [QUEUE], metadata: { jobId: job.id, attempt } }, async (mission) => {
        signal?.addEventListener('abort', () => mission.cancel({ by: 'queue', reason: String(signal.reason) }), { once: true })
        return await writeReport(job.data, attempt, mission)
      })
    } catch (err) {
      return await giveBack(job, token, err, app.missions.get(id)?.cancelState?.kind)
    }
  }, { connection, concurrency: 3 })
}

/** Tells the queue how a mission ended: failed jobs are tried again, cancelled ones are not, and those of a closing service go back. */
async function giveBack (job: Job, token: string | undefined, err: unknown, cancelledBy: string | undefined): Promise<never> {
  if (cancelledBy === 'shutdown' || (err as { code?: string }).code === 'FST_MC_CLOSING') {
    // Later, when this worker is gone: it would fetch the job once more.
    await job.moveToDelayed(Date.now() + GO_BACK_MS, token)
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
    // The state first: what belongs to it is there then.
    const state = await queue.getJobState(params.id)
    const job = await queue.getJob(params.id)
    return { state, attempts: job?.attemptsMade, result: job?.returnvalue, failure: job?.failedReason }
  })
  app.delete<{ Params: { id: string } }>('/reports/:id', async ({ params }) => ({ isCancelled: worker.cancelJob(params.id, 'deleted') }))
}

/** BullMQ waits for a Redis server without end and without a word; this does not. */
async function checkRedis ({ host, port }: Redis): Promise<void> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
  } catch {
    throw new InputError(`There is no Redis server on ${host}:${port}. Start redis-server, or say where it is with REDIS_PORT.`)
  } finally {
    socket.destroy()
  }
}

await runProgram('Usage: node .examples/worker-bullmq.js', async () => {
  const signal = interruption()
  const connection = { host: '127.0.0.1', port: readWholeNumber('REDIS_PORT', process.env['REDIS_PORT'] ?? '6379', 1, 65_535) }
  await checkRedis(connection)

  const app = Fastify()
  await app.register(missionControl, { server: { name: 'reports', version: '1.0.0' }, routes: { missions: '/missions' } })
  app.missions.handle({ cancel: {} })
  app.missions.on('mission_update', ({ missionId, name, status }) => {
    if (status !== 'execution_progress') console.log(`${missionId} ${name} ${status}`)
  })
  const queue = new Queue<Report, string>(QUEUE, { connection })
  const worker = createWorker(app, connection)
  worker.on('error', (err) => console.error(err.message))
  addRoutes(app, queue, worker)
  console.log(await app.listen({ host: '127.0.0.1', port: readWholeNumber('PORT', process.env['PORT'] ?? '3000', 0, 65_535) }))

  await queue.add('week', { pages: 5 })
  await queue.add('month', { pages: 20, failsAtFirst: true }, { attempts: 2 })
  if (!signal.aborted) await once(signal, 'abort')

  // From here on the worker takes no more jobs and waits for those that run; their missions are ended, and they go back to the queue.
  const isWorkerClosed = worker.close()
  await app.close()
  await isWorkerClosed
  await queue.close()
  return 0
})
