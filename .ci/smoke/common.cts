// The code of a host in a CommonJS project.
import fastify from 'fastify'
import missionControl, { createVirtualClock, errors, type MissionControlOptions } from 'fastify-mission-control'
import { createMemoryBackplane } from 'fastify-mission-control/backplane'
import { redisBackplane } from 'fastify-mission-control/redis'
import { connectReporter } from 'fastify-mission-control/reporter'
import { CHANNEL_NAMES, type MissionStatus } from 'fastify-mission-control/schemas'

const options: MissionControlOptions = { clock: createVirtualClock(), server: { name: 'reports', version: '1.0.0' } }
const app = fastify()
void app.register(missionControl, options)
export const statusOf = (id: string): MissionStatus | undefined => app.missions.get(id)?.status
export const known = [...CHANNEL_NAMES, errors.Closing.name]

// @ts-expect-error an option that does not exist must not compile
void app.register(missionControl, { heartbeat: 1 })

export const connect = async () => await connectReporter({ backplane: redisBackplane({ client: 'redis://127.0.0.1' }) })
export const inMemory = createMemoryBackplane()
