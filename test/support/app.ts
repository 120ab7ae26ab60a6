import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import type { VirtualClock } from '../../lib/base/virtual-clock.js'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'

/** A service with the plugin. It is closed when the test ends. */
export async function boot (t: Test, options: MissionControlOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(missionControl, closingSoon(app, options))
  return app
}

/**
 * Sets a close grace of 1 ms for missions that are still active when `app` closes, unless `options` has one. A virtual clock,
 * which no test moves any more, is advanced by this grace. To be called before the plugin is registered.
 */
export function closingSoon (app: FastifyInstance, options: MissionControlOptions): MissionControlOptions {
  const { clock, missions } = options
  if (missions?.closeGraceMs !== undefined) return options
  if (clock !== undefined && 'advance' in clock) app.addHook('preClose', async () => { setImmediate(() => (clock as VirtualClock).advance(1)) })
  return { ...options, missions: { closeGraceMs: 1, ...missions } }
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
