import { hostname } from 'node:os'
import type { ResolvedOptions } from '../schemas/options.js'
import type { Backplane } from './backplane/contract.js'
import { CallbackErrors } from './base/callback-errors.js'
import { systemClock, type Clock } from './base/clock.js'
import { callGuarded } from './base/promises.js'
import { Cluster } from './cluster/cluster.js'
import { Endings, MissionRegistry, TenantLabels, type MissionLog } from './missions/index.js'
import { MonitoringService } from './monitoring/index.js'

/** What the core needs of the host's logger. */
export interface CoreLog extends MissionLog { child (bindings: object): MissionLog }

export interface CoreDeps {
  options: Pick<ResolvedOptions, 'channels' | 'health' | 'missions' | 'prometheus' | 'server' | 'websocket'> & {
    backplane?: Backplane | undefined
  }
  clock: Clock
  log: CoreLog
  /** What clients may see, which decides what is kept of endings. */
  access: { readonly isRestricted: boolean, readonly isNarrowed: boolean }
  callbackErrors: CallbackErrors
  /** Calls a function once the present turn of the event loop is over. */
  defer?: ((run: () => void) => void) | undefined
}

/** The parts that a service has with or without HTTP. */
export interface Core {
  missions: MissionRegistry
  monitoring: MonitoringService
  endings: Endings
  /** Only with a backplane. */
  cluster: Cluster | undefined
}

/** How long endings are kept at least: a client that was away overnight still receives the endings of its missions. */
const ENDED_RETENTION_MS = 86_400_000

/** Builds the missions and the monitoring of one process, and connects them with other processes if there are any. */
export function createCore ({ options, clock, log, access, callbackErrors, defer }: CoreDeps): Core {
  const onCallbackError = callbackErrors.report
  const { tenants } = options.prometheus
  const endedIds = endingsKept(options)
  const missions = new MissionRegistry({
    clock,
    options: options.missions,
    endedIds,
    onCallbackError,
    tenantLabels: tenants && new TenantLabels(tenants),
    measured: options.prometheus,
    hidesUnknownParents: access.isRestricted,
    // A logger of the host that throws must not keep the function from running.
    onUntracked: (reason, err) => callGuarded(
      () => log.warn({ err, reason }, 'a function runs without a tracked mission'),
      (logError) => onCallbackError('log', logError)
    ),
    makeLog: (missionId) => log.child({ missionId })
  })
  const monitoring = new MonitoringService({
    clock,
    health: options.health,
    operationBucketsMs: options.prometheus.operationBucketsMs,
    log,
    onCallbackError
  })
  const endings = new Endings({ clock, ...endedIds, keepsSubjects: access.isNarrowed })
  const { backplane } = options
  if (backplane === undefined) {
    missions.updates.onEnded((mission, update) => endings.put(mission, update))
    return { missions, monitoring, endings, cluster: undefined }
  }
  const cluster = new Cluster({
    clock,
    backplane,
    member: { service: options.server.name, label: hostname() },
    registry: missions,
    endings,
    endedIds,
    monitoring,
    hidesUnknownParents: access.isRestricted,
    options,
    onWarning: createWarning(log, onCallbackError),
    onListenerError: onCallbackError.bind(undefined, 'mission_listener'),
    defer: defer ?? (clock === systemClock ? setImmediate : queueMicrotask)
  })
  return { missions, monitoring, endings, cluster }
}

// Ids of ended missions are remembered for as long as clients can receive their endings.
function endingsKept ({ websocket }: CoreDeps['options']): { max: number, maxAgeMs: number } {
  const { maxMessages, maxAgeMs } = websocket.history
  return { max: maxMessages, maxAgeMs: Math.max(maxAgeMs, ENDED_RETENTION_MS) }
}

function createWarning (log: CoreLog, onCallbackError: (where: string, err: unknown) => void) {
  return (err: unknown): void => callGuarded(
    () => log.warn({ err }, 'the backplane has a problem'), onCallbackError.bind(undefined, 'log')
  )
}
