import { cleanLine, formatDuration } from '../../model/format.js'
import type { Session } from '../../model/session.js'

/** The health of the service. Opened, it lists the components, named by process if there are several. */
export function HealthBadge ({ session }: { session: Session }) {
  const health = session.health.value
  if (health === undefined) return null
  const components = Object.entries(health.components)
  return (
    <details class='health'>
      <summary class={`health-summary health-${health.status}`}>{health.status}</summary>
      <div class='popover'>
        {components.length === 0 && <p>The service has no health checks.</p>}
        <ul class='plain'>
          {components.map(([name, { status, responseTimeMs, error }]) => (
            <li key={name} class='health-row'>
              <span>{cleanLine(name)}</span>
              <span class={`health-${status}`}>
                {status}
                {error !== null && ` (${error})`}
              </span>
              <span class='number'>{responseTimeMs === null ? '' : formatDuration(responseTimeMs)}</span>
            </li>
          ))}
        </ul>
      </div>
    </details>
  )
}
