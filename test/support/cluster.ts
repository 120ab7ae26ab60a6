import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { createMemoryBackplane } from '../../lib/backplane/index.js'
import type { Backplane } from '../../lib/backplane/contract.js'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'
import { closingSoon } from './app.js'
import { createFaultyBackplane, type FaultyBackplane } from './faulty-backplane.js'

/** One process of a service: an app with a backplane whose calls can be made to fail. */
export interface Process { app: FastifyInstance, backplane: FaultyBackplane }

export interface ProcessesOptions extends MissionControlOptions { backplane?: Backplane, leaseMs?: number }

/** Starts processes that share a log in memory. They are closed when the test ends. */
export async function startProcesses (t: Test, count: number, options: ProcessesOptions = {}): Promise<Process[]> {
  const { leaseMs = 15_000, backplane = createMemoryBackplane({ leaseMs }), ...rest } = options
  const processes: Process[] = []
  for (let index = 0; index < count; index++) processes.push(await startProcess(t, backplane, rest))
  return processes
}

/** Starts one more process. */
export async function startProcess (t: Test, backplane: Backplane, options: MissionControlOptions = {}): Promise<Process> {
  const faulty = createFaultyBackplane(backplane)
  const app = Fastify()
  t.teardown(async () => {
    faulty.fault = 'none'
    await app.close()
  })
  await app.register(missionControl, closingSoon({ ...options, backplane: faulty }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, backplane: faulty }
}

/** Resolves once `isTrue` returns true, which is looked at again in each turn of the event loop. */
export async function until (isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
}
