// The code of a host in a CommonJS project whose compiler does not let it require an ES module.
import fastify from 'fastify'
import type { MissionControlOptions } from 'fastify-mission-control' with { 'resolution-mode': 'import' }

export async function start (options: MissionControlOptions): Promise<string> {
  const { missionControl } = await import('fastify-mission-control')
  const app = fastify()
  await app.register(missionControl, options)
  // @ts-expect-error an option that does not exist must not compile
  await app.register(missionControl, { heartbeat: 1 })
  return app.missions.start('nightly report').id
}
