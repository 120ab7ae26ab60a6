import { hostname } from 'node:os'
import type { ResolvedOptions } from '../schemas/options.js'
import type { Backplane } from './backplane/contract.js'
import { CallbackErrors } from './base/callback-errors.js'
import { systemClock, type Clock } from './base/clock.js'
import { callGuarded } from './base/promises.js'
import { Cluster } from './cluster/cluster.js'
import { Endings, MissionRegistry, TenantLabels, type MissionLog } from './missions/index.js'
import { AlertService, MonitoringService } from './monitoring/index.js'

/** What the core needs of the host's logger. */
export interface CoreLog extends MissionLog { child (bindings: object): MissionLog }

export interface CoreDeps {
  options: Pick<
    ResolvedOptions, 'alerts' | 'channels' | 'health' | 'missions' | 'prometheus' | 'server' | 'websocket'
  > & {
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
  alerts: AlertService
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
  const alerts = createAlertService({
    options, clock, missions, monitoring, endings, cluster: () => cluster, onCallbackError
  })
  const { backplane } = options
  const cluster = backplane && new Cluster({
    clock,
    backplane,
    member: { service: options.server.name, label: hostname() },
    registry: missions,
    endings,
    endedIds,
    monitoring,
    alerts: alerts.operators,
    createTenantAlerts: (tenant) => alerts.createScope(tenant),
    process: () => alerts.process(),
    signals: alerts.signals,
    hidesUnknownParents: access.isRestricted,
    options,
    onWarning: createWarning(log, onCallbackError),
    onListenerError: onCallbackError.bind(undefined, 'mission_listener'),
    defer: defer ?? (clock === systemClock ? setImmediate : queueMicrotask)
  })
  alerts.shared = cluster?.alerts
  if (cluster === undefined) missions.updates.onEnded((mission, update) => endings.put(mission, update))
  return { missions, monitoring, alerts, endings, cluster }
}

interface CreateAlertServiceDeps extends Pick<CoreDeps, 'options' | 'clock'>, Omit<Core, 'alerts' | 'cluster'> {
  cluster: () => Cluster | undefined
  onCallbackError: (where: string, err: unknown) => void
}

// The alerts read the missions where they are kept anyway: here, or with several processes in the shared log.
function createAlertService (deps: CreateAlertServiceDeps): AlertService {
  const { options, clock, missions, monitoring, endings, cluster, onCallbackError } = deps
  return new AlertService({
    clock,
    options: options.alerts,
    intervalMs: options.channels.anomalyAlertMs,
    missions: (tenant) => ({
      totals: () => missions.queries.totals(tenant),
      active: () => cluster()?.picture.active.of(tenant) ?? missions.groups.active(tenant),
      endedAfter: (last) => endings.after(tenant, last)
    }),
    health: () => cluster()?.health.all() ?? monitoring.health(),
    latencies: () => cluster()?.reports.operationLatencies() ?? monitoring.operationLatencies(),
    operations: () => cluster()?.reports.operationCounters() ?? monitoring.operations().series,
    processes: (own) => cluster()?.reports.processes(own) ?? (own && [{ instance: undefined, facts: own }]),
    onCallbackError
  })
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
