import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import type { VirtualClock } from '../../lib/base/virtual-clock.js'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'

/** A service with the plugin that is closed when the test ends, soon. */
export async function boot (t: Test, options: MissionControlOptions = {}, server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(server)
  t.teardown(() => app.close())
  await app.register(missionControl, closingSoon(app, options))
  return app
}

/**
 * Unless `options` say so, missions that are still active when `app` closes get a grace of 1 ms only; a virtual clock, which nobody moves any
 * more, goes on by this one. To be called before the plugin is registered.
 */
export function closingSoon (app: FastifyInstance, options: MissionControlOptions): MissionControlOptions {
  const { clock, missions } = options
  if (missions?.closeGraceMs !== undefined) return options
  if (clock !== undefined && 'advance' in clock) app.addHook('preClose', async () => { setImmediate(() => (clock as VirtualClock).advance(1)) })
  return { ...options, missions: { closeGraceMs: 1, ...missions } }
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
