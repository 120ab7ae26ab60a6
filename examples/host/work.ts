import type { FastifyInstance } from 'fastify'
import type { Mission } from 'fastify-mission-control'

/** The packages that the missions of the demo work on. */
export interface WorkOptions {
  app: FastifyInstance
  /** The `node_modules` folder. */
  root: string
  /** Pause after every package in ms, to limit the load on the disk. */
  paceMs: number
}

/** Waits for the end of a mission. When the service closes first, the mission is cancelled. */
export async function untilDone (mission: Mission, signal: AbortSignal): Promise<Awaited<Mission['done']>> {
  const cancel = () => { mission.cancel({ reason: 'the service is closing' }) }
  signal.addEventListener('abort', cancel, { once: true })
  const outcome = await mission.done
  signal.removeEventListener('abort', cancel)
  return outcome
}
