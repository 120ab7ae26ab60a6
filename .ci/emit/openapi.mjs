import swagger from '@fastify/swagger'
import Fastify from 'fastify'

/** The OpenAPI document that @fastify/swagger generates for a service with every route under its default path. */
export async function openApiOf (missionControl) {
  const app = Fastify()
  const info = { title: 'mission-control', version: '0.0.0', description: 'The HTTP routes of fastify-mission-control, under their default paths.' }
  await app.register(swagger, { openapi: { openapi: '3.1.0', info, tags: [{ name: 'mission-control', description: 'Telemetry of long-running work' }] } })
  await app.register(missionControl, { routes: { missions: '/mission-control/missions' } })
  await app.ready()
  const document = app.swagger()
  await app.close()
  return document
}
