import type { ComponentStatus, HealthComponent, HealthReport, HealthStatus } from '../../../schemas/health.js'
import type { Clock } from '../../base/clock.js'
import { GuardedRun, type RunResult } from './guarded-run.js'
import { readCheckReport, readHealthReport, reportedComponents, type CheckReport } from './report.js'

/**
 * A health check of the host.
 *
 * `run` returns nothing, or `{ status }` with or without a `reason`, directly or as a promise. If it throws, rejects,
 * times out or returns anything else, the component is `unhealthy`. Its signal aborts after `timeoutMs`, when the check
 * is removed and on close.
 */
export interface HealthCheck {
  /** Name of the component, 1 to 64 characters in one line, unique among the checks. */
  name: string
  run: (signal: AbortSignal) => CheckReport | void | PromiseLike<CheckReport | void>
  /** Whether the service is `critical` while the component is `unhealthy`; by default it is `degraded`. */
  critical?: boolean
  /** Interval between two runs; by default the check runs in each round. */
  intervalMs?: number
  /** How long one run may take; 5 s by default. */
  timeoutMs?: number
}

/** The function of the option `health.provider`. */
export type HealthProvider = () => HealthReport | Promise<HealthReport>

/** The health according to one source, or to all of them: a status and its components. */
export interface HealthReading { status: HealthStatus, components: [string, HealthComponent][] }

/** A health check or the health provider. */
export interface HealthSource {
  /** `undefined` if it runs in each round. */
  intervalMs: number | undefined
  run: Pick<GuardedRun<unknown>, 'start' | 'done' | 'stop'>
  /** The latest reading; `undefined` until its first run has ended. */
  read (): HealthReading | undefined
}

/** Shared by all sources. `warn` logs and never throws. */
export interface HealthSourceDeps {
  clock: Clock
  warn: (fields: object, message: string) => void
}

/** How long one run may take by default: half of the default interval between rounds, so that no round is left out. */
const TIMEOUT_MS = 5_000

const PROVIDER = 'provider'

/** The status of a failed check. */
const FAILED: CheckReport = { status: 'unhealthy' }

/** The severity of each component status. */
export const COMPONENT_SEVERITY: Record<ComponentStatus, number> = { healthy: 0, degraded: 1, unhealthy: 2 }

/** A health check as a source: one component. */
export function checkSource (check: HealthCheck, { clock, warn }: HealthSourceDeps): HealthSource {
  const { name, critical = false } = check
  const run = new GuardedRun<CheckReport>({
    clock,
    timeoutMs: check.timeoutMs ?? TIMEOUT_MS,
    run: (signal) => check.run(signal),
    read: readCheckReport,
    onFailure: (code, err) => warn({ err, code, check: name }, 'health check failed')
  })
  const read = (outcome: RunResult<CheckReport>): HealthReading => {
    const { status, ...reason } = outcome.code === null ? outcome.value : FAILED
    const component = { ...componentOf(outcome, status), critical, ...reason }
    return { status: serviceStatusOf(component), components: [[name, component]] }
  }
  return { intervalMs: check.intervalMs, run, read: () => run.outcome && read(run.outcome) }
}

/** The health provider as a source: its status and components, or a component `provider` while it fails. */
export function providerSource (provider: HealthProvider, { clock, warn }: HealthSourceDeps): HealthSource {
  const run = new GuardedRun<HealthReport>({
    clock,
    timeoutMs: TIMEOUT_MS,
    run: () => provider(),
    read: readHealthReport,
    onFailure: (code, err) => warn({ err, code }, 'health provider failed')
  })
  const read = (outcome: RunResult<HealthReport>): HealthReading => outcome.code === null
    ? { status: outcome.value.status, components: reportedComponents(outcome.value, outcome.checkedAt) }
    : { status: 'degraded', components: [[PROVIDER, componentOf(outcome, 'unhealthy')]] }
  return { intervalMs: undefined, run, read: () => run.outcome && read(run.outcome) }
}

function componentOf (outcome: RunResult<unknown>, status: ComponentStatus): HealthComponent {
  const { code, responseTimeMs, checkedAt } = outcome
  return { status, critical: false, responseTimeMs, error: code, checkedAt }
}

function serviceStatusOf ({ status, critical }: HealthComponent): HealthStatus {
  if (status === 'healthy') return 'healthy'
  return status === 'unhealthy' && critical ? 'critical' : 'degraded'
}
