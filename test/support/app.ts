import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'

/** A service with the plugin that is closed when the test ends. */
export async function boot (t: Test, options: MissionControlOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(missionControl, options)
  return app
}

/** Rejections and exceptions that nobody caught while `run` ran and the loop settled after it. */
export async function uncaught (run: () => Promise<unknown>): Promise<unknown[]> {
  const caught: unknown[] = []
  const keep = (err: unknown) => { caught.push(err) }
  process.on('unhandledRejection', keep)
  process.on('uncaughtException', keep)
  try {
    await run()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    process.off('unhandledRejection', keep)
    process.off('uncaughtException', keep)
  }
  return caught
}
