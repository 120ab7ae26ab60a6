import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { type Clock } from 'fastify-mission-control'

/** The assumed speed of a replay without a limit: an hour between two `mission_stats`, instead of ten seconds. */
const UNLIMITED = 360

const LONGEST_INTERVAL_MS = 2_147_483_647

/** A clock that runs ahead of the sockets needs no heartbeats, so they are as rare as possible. */
const HEARTBEAT_MS = LONGEST_INTERVAL_MS

export interface ReplayService {
  app: FastifyInstance
  websocketUrl: string
  prometheusUrl: string
  /** The time between two `mission_stats`, in ms of the trace. */
  missionStatsMs: number
}

/** The action for missions without activity for `stallMs`. */
export interface StallOptions { stallMs: number, onStall: 'flag' | 'cancel' | 'error' }

/** A service whose plugin uses `clock`. In real time, its channels send as often as those of a live service. */
export async function startService (clock: Clock, speed: number, missions: StallOptions): Promise<ReplayService> {
  const scale = speed === Infinity ? UNLIMITED : speed
  const scaled = (ms: number) => Math.min(LONGEST_INTERVAL_MS, Math.ceil(ms * scale))
  const missionStatsMs = scaled(10_000)
  const app = Fastify()
  await app.register(missionControl, {
    server: { name: 'replay', version: '1.0.0' },
    // The limit uses the time of the trace, where hundreds of pings arrive at one moment.
    websocket: { heartbeatMs: HEARTBEAT_MS, maxMessagesPerSecond: 100_000 },
    channels: { missionStatsMs, metricsTickMinMs: scaled(2_500), anomalyAlertMs: scaled(15_000) },
    health: { intervalMs: scaled(10_000) },
    missions,
    clock
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  return {
    app,
    websocketUrl: `ws://127.0.0.1:${port}/ws/mission-control`,
    prometheusUrl: `http://127.0.0.1:${port}/api/v1/metrics/prometheus`,
    missionStatsMs
  }
}
