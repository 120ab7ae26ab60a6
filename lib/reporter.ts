import type { OptionsInput } from '../schemas/options.js'
import type { Backplane } from './backplane/contract.js'
import { CallbackErrors } from './base/callback-errors.js'
import { systemClock, type Clock } from './base/clock.js'
import { resolveOptions } from './base/options.js'
import { createCore, type CoreLog } from './core.js'
import { createMissions, type Missions } from './missions/index.js'
import { createMonitoring, type AlertOptions, type Monitoring } from './monitoring/index.js'

/** Options of `connectReporter`. */
export interface ReporterOptions {
  /** The same backplane as that of the service, such as `redisBackplane()` returns. */
  backplane: Backplane
  /** Identifies the worker in the list of processes. */
  service?: { name?: string, version?: string }
  missions?: OptionsInput['missions']
  health?: OptionsInput['health']
  /** As in a service: one process evaluates the alert rules for all processes, and it may be this one. */
  alerts?: AlertOptions
  /** A logger like that of Fastify or pino; silent by default. */
  log?: CoreLog
  clock?: Clock
}

/** The missions and the monitoring of a process without HTTP. */
export interface Reporter {
  readonly missions: Missions
  readonly monitoring: Monitoring
  /** Asks the missions that run here to end, waits for their endings to be stored, and leaves the backplane. */
  close (): Promise<void>
}

/** How long a worker waits for the backplane when it starts. Without an answer, it starts all the same. */
const JOIN_MS = 5_000
/** How long it waits for the endings of its missions to be stored when it closes. */
const FLUSH_MS = 2_000

const ignore = (): void => {}
const SILENT: CoreLog = {
  trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => SILENT
}

const EVERYTHING = { isRestricted: false, isNarrowed: false }

/**
 * Connects a process without Fastify, such as a worker, to the missions of a service: `missions` and `monitoring` are
 * those of `app.missions` and `app.monitoring`.
 *
 * ```js
 * import { redisBackplane } from 'fastify-mission-control/redis'
 * import { connectReporter } from 'fastify-mission-control/reporter'
 *
 * const backplane = redisBackplane({ client: 'redis://127.0.0.1:6379', namespace: 'orders' })
 * const { missions, close } = await connectReporter({ backplane, service: { name: 'importer' } })
 * await missions.run('import', async (mission) => { mission.progress(50) })
 * await close()
 * ```
 *
 * @throws FST_MC_INVALID_OPTION
 */
export async function connectReporter (options: ReporterOptions): Promise<Reporter> {
  const { backplane, service, missions, health, alerts, log = SILENT, clock = systemClock } = options
  const resolved = resolveOptions({ backplane, server: service, missions, health, alerts } as OptionsInput, {})
  const core = createCore({
    options: { ...resolved, backplane }, clock, log, access: EVERYTHING, callbackErrors: new CallbackErrors(log)
  })
  core.monitoring.start()
  await core.cluster!.start(JOIN_MS)
  let closing: Promise<void> | undefined
  return {
    missions: createMissions(core.missions),
    monitoring: createMonitoring(core.monitoring, core.alerts),
    close: async () => await (closing ??= closeCore(core))
  }
}

async function closeCore ({ missions, monitoring, alerts, cluster }: ReturnType<typeof createCore>): Promise<void> {
  await missions.shutdown()
  await cluster!.flush(FLUSH_MS)
  await cluster!.close()
  missions.close()
  monitoring.close()
  alerts.close()
}
