import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'

/** A service with the plugin. It is closed when the test ends. */
export async function boot (t: Test, options: MissionControlOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(missionControl, closingSoon(options))
  return app
}

/** Sets a close grace of 1 ms for missions that are still active when the app closes, unless `options` has one. */
export function closingSoon (options: MissionControlOptions): MissionControlOptions {
  return { ...options, missions: { closeGraceMs: 1, ...options.missions } }
}

/** Unhandled rejections and exceptions while `run` ran and in the ticks after it. */
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
