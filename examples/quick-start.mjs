import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'

const app = Fastify()
await app.register(missionControl, { server: { name: 'quick-start', version: '1.0.0' } })
console.log(await app.listen({ port: Number(process.env.PORT ?? 3000) }))

const mission = app.missions.start({ name: 'count to ten' })
for (let index = 1; index <= 10; index++) {
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  mission.progress({ taskId: `number ${index}`, index, total: 10, status: 'completed' })
}
mission.complete()
