import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import missionControl, { type Clock } from 'fastify-mission-control'

/** How much faster than real time a replay without a limit counts as: an hour between two `mission_stats`, not ten seconds. */
const UNLIMITED = 360

const LONGEST_INTERVAL_MS = 2_147_483_647

/** Heartbeats are for live sockets; on a clock that runs ahead of them they come as seldom as they can. */
const HEARTBEAT_MS = LONGEST_INTERVAL_MS

export interface ReplayService {
  app: FastifyInstance
  websocketUrl: string
  prometheusUrl: string
  /** The time between two `mission_stats`, in ms of the trace. */
  missionStatsMs: number
}

/** What becomes of missions that show no life for `stallMs`. */
export interface StallOptions { stallMs: number, onStall: 'flag' | 'cancel' | 'error' }

/** A service whose plugin lives in the time of `clock`. Its channels speak as often in real time as those of a live one. */
export async function startService (clock: Clock, speed: number, missions: StallOptions): Promise<ReplayService> {
  const scale = speed === Infinity ? UNLIMITED : speed
  const scaled = (ms: number) => Math.min(LONGEST_INTERVAL_MS, Math.ceil(ms * scale))
  const missionStatsMs = scaled(10_000)
  const app = Fastify()
  await app.register(missionControl, {
    server: { name: 'replay', version: '1.0.0' },
    // The limit counts in the time of the trace, in which hundreds of pings fall on one moment.
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
