import { useSignal } from '@preact/signals'
import { cleanBlock, formatCount } from '../../model/format.js'

const MAX_SHOWN = 20_000

/** A value of the host as text, on demand: it may be long, and is cut then. The download has all of it. */
export function LargeValue ({ title, value, fileName }: { title: string; value: unknown; fileName: string }) {
  const isOpen = useSignal(false)
  if (value === undefined || value === null) return null
  const preview = previewOf(value)
  const text = preview?.preview ?? (typeof value === 'string' ? value : JSON.stringify(value, null, 2))
  const isCut = text.length > MAX_SHOWN
  return (
    <details
      class='large'
      onToggle={({ currentTarget }) => {
        isOpen.value = currentTarget.open
      }}
    >
      <summary>
        {title}{' '}
        <span class='muted number'>
          {preview === undefined
            ? `${formatCount(text.length)} characters`
            : `truncated, ${formatCount(preview.bytes)} bytes`}
        </span>
      </summary>
      {isOpen.value && (
        <>
          {preview !== undefined && <p class='muted'>The service has sent only the beginning of this value.</p>}
          {isCut && <p class='muted'>Shortened to {formatCount(MAX_SHOWN)} characters.</p>}
          <pre tabIndex={0}>{cleanBlock(isCut ? `${text.slice(0, MAX_SHOWN)}…` : text)}</pre>
          <button type='button' class='button button-small' onClick={() => download(text, fileName)}>
            Download
          </button>
        </>
      )}
    </details>
  )
}

interface Preview { bytes: number, preview: string }

// What the service sends in place of a value that is too large.
const previewOf = (value: unknown): Preview | undefined =>
  (value as { truncated?: unknown }).truncated === true && 'preview' in (value as object) ? value as Preview : undefined

function download (text: string, fileName: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
  link.download = fileName.replace(/[^\w.-]/g, '_')
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
