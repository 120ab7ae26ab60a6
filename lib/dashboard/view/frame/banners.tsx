import type { PageState } from '../context.js'

/** Reasons not to trust what the page shows. */
export function Banners ({ state: { session } }: { state: PageState }) {
  const { tone, text } = session.connection.value
  return (
    <>
      {session.isNewer.value && (
        <p class='banner banner-warn' role='status'>
          The service is newer than this page.{' '}
          <button type='button' class='link' onClick={() => location.reload()}>
            Reload
          </button>
        </p>
      )}
      {session.wasRestarted.value && (
        <p class='banner' role='status'>
          The service was restarted: counts begin anew, and there is a gap in the charts.{' '}
          <button
            type='button'
            class='link'
            onClick={() => {
              session.wasRestarted.value = false
            }}
          >
            Dismiss
          </button>
        </p>
      )}
      {tone === 'bad' && (
        <p class='banner banner-bad' role='status'>
          {text === 'session expired' ? 'Your session has expired. Sign in again, then ' : `The page is ${text}. `}
          <button type='button' class='link' onClick={() => location.reload()}>
            reload the page
          </button>
        </p>
      )}
    </>
  )
}
