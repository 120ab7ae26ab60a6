import { cleanLine, formatDuration } from '../../model/format.js'
import type { Session } from '../../model/session.js'

/** The health of the service. Opened, it lists the components, named by process if there are several. */
export function HealthBadge ({ session }: { session: Session }) {
  const health = session.health.value
  if (health === undefined) return null
  const components = Object.entries(health.components)
  const [worst, ...others] = components.filter(([, { status }]) => status !== 'healthy')
  return (
    <details class='health'>
      <summary class={`health-summary health-${health.status}`}>
        {health.status}
        {worst !== undefined && (
          <small>: {cleanLine(worst[0])}{others.length > 0 && ` and ${others.length} more`}</small>
        )}
      </summary>
      <div class='popover'>
        {health.reason !== undefined && <p>{cleanLine(health.reason)}</p>}
        {components.length === 0 && <p>No health checks to show.</p>}
        <ul class='plain'>
          {components.map(([name, { status, responseTimeMs, error, reason }]) => (
            <li key={name} class='health-row'>
              <span>{cleanLine(name)}</span>
              <span class={`health-${status}`}>
                {status}
                {error !== null && ` (${error.replaceAll('_', ' ')})`}
                {reason !== undefined && `: ${cleanLine(reason)}`}
              </span>
              <span class='number'>{responseTimeMs === null ? '' : formatDuration(responseTimeMs)}</span>
            </li>
          ))}
        </ul>
      </div>
    </details>
  )
}
