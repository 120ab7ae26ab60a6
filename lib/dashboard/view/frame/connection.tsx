import { formatTime } from '../../model/format.js'
import type { PageState } from '../context.js'

/** How the page is connected, in words. */
export function Connection ({ state: { session } }: { state: PageState }) {
  const { tone, text, action, isLive } = session.connection.value
  const rttMs = session.rttMs.value
  const asOf = session.lastMessageAt
  const isPaused = session.isPaused.value
  return (
    <p class={`connection connection-${isPaused ? 'busy' : tone}`}>
      <span class='connection-dot' aria-hidden='true' />
      <span class='connection-text'>{isPaused ? 'paused' : text}</span>
      {isLive && rttMs !== undefined && <small class='connection-rtt'>{Math.round(rttMs)} ms</small>}
      {!isLive && asOf !== undefined && <small>as of {formatTime(asOf, session.clock.value)}</small>}
      {action === 'retry' && (
        <button type='button' class='link' onClick={() => dispatchEvent(new Event('online'))}>
          Retry now
        </button>
      )}
      {action === 'reload' && (
        <button type='button' class='link' onClick={() => location.reload()}>
          Reload
        </button>
      )}
    </p>
  )
}
