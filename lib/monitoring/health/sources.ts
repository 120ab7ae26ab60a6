import type { ComponentStatus, HealthComponent, HealthReport, HealthStatus } from '../../../schemas/health.js'
import type { Clock } from '../../base/clock.js'
import { GuardedRun, type RunResult } from './guarded-run.js'
import { readCheckReport, readHealthReport, reportedComponents, type CheckReport } from './report.js'

/**
 * A health check of the host.
 *
 * `run` returns nothing or `{ status }`, at once or as a promise; a throw, a reject, a timeout or anything else makes the
 * component `unhealthy`. Its signal aborts when `timeoutMs` is over, when the check is removed and on close.
 */
export interface HealthCheck {
  /** Name of the component, 1 to 64 characters in one line, unique among the checks. */
  name: string
  run: (signal: AbortSignal) => CheckReport | void | PromiseLike<CheckReport | void>
  /** `true` makes the service `critical` while the component is `unhealthy`; otherwise, and by default, it is `degraded`. */
  critical?: boolean
  /** Time between two runs; by default the check runs with each round. */
  intervalMs?: number
  /** How long one run may take; 5 s by default. */
  timeoutMs?: number
}

/** The host's own health object, see the option `health.provider`. */
export type HealthProvider = () => HealthReport | Promise<HealthReport>

/** What one source, or all of them, say of the health: a level and the components behind it. */
export interface HealthReading { level: HealthStatus, components: [string, HealthComponent][] }

/** One thing that is asked for health. */
export interface HealthSource {
  /** `undefined`: it runs with each round. */
  intervalMs: number | undefined
  run: Pick<GuardedRun<unknown>, 'begin' | 'done' | 'stop'>
  /** What it said last; `undefined` until its first run ended. */
  read (): HealthReading | undefined
}

/** What sources need from the room. `warn` logs and never throws. */
export interface SourceContext {
  clock: Clock
  warn: (fields: object, message: string) => void
}

/** How long one run may take by default: half of the default interval between rounds, so that no round is left out. */
const TIMEOUT_MS = 5_000

const PROVIDER = 'provider'

/** How bad the status of a component is. */
export const COMPONENT_SEVERITY: Record<ComponentStatus, number> = { healthy: 0, degraded: 1, unhealthy: 2 }

/** A health check as a source: one component. */
export function checkSource (check: HealthCheck, { clock, warn }: SourceContext): HealthSource {
  const { name, critical = false } = check
  const run = new GuardedRun<ComponentStatus>({
    clock,
    timeoutMs: check.timeoutMs ?? TIMEOUT_MS,
    run: (signal) => check.run(signal),
    read: readCheckReport,
    onFailure: (code, err) => warn({ err, code, check: name }, 'health check failed')
  })
  const read = (outcome: RunResult<ComponentStatus>): HealthReading => {
    const component = { ...componentOf(outcome, outcome.code === null ? outcome.value : 'unhealthy'), critical }
    return { level: levelOf(component), components: [[name, component]] }
  }
  return { intervalMs: check.intervalMs, run, read: () => run.outcome && read(run.outcome) }
}

/** The host's health object as a source: its own status and components, or a component `provider` while it fails. */
export function providerSource (provider: HealthProvider, { clock, warn }: SourceContext): HealthSource {
  const run = new GuardedRun<HealthReport>({
    clock,
    timeoutMs: TIMEOUT_MS,
    run: () => provider(),
    read: readHealthReport,
    onFailure: (code, err) => warn({ err, code }, 'health provider failed')
  })
  const read = (outcome: RunResult<HealthReport>): HealthReading => outcome.code === null
    ? { level: outcome.value.status, components: reportedComponents(outcome.value, outcome.checkedAt) }
    : { level: 'degraded', components: [[PROVIDER, componentOf(outcome, 'unhealthy')]] }
  return { intervalMs: undefined, run, read: () => run.outcome && read(run.outcome) }
}

function componentOf ({ code, responseTimeMs, checkedAt }: RunResult<unknown>, status: ComponentStatus): HealthComponent {
  return { status, critical: false, responseTimeMs, error: code, checkedAt }
}

function levelOf ({ status, critical }: HealthComponent): HealthStatus {
  if (status === 'healthy') return 'healthy'
  return status === 'unhealthy' && critical ? 'critical' : 'degraded'
}
