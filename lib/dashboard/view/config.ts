import type { DashboardConfig } from '../../../schemas/options/dashboard.js'

/** The configuration that the service has put into the page. */
export function readConfig (): DashboardConfig {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="mission-control-config"]')!
  return JSON.parse(meta.content) as DashboardConfig
}

/** Whether the service refuses the page itself. A browser does not reveal why a WebSocket was refused. */
export async function isRefused (): Promise<boolean> {
  const { status } = await fetch('.', { method: 'HEAD', redirect: 'manual' })
  // A redirect, for example to a form for signing in, has the status 0.
  return [0, 401, 403].includes(status)
}

/** Whether the service has another page than this one by now. */
export async function isOutdated (): Promise<boolean> {
  const response = await fetch('.', { redirect: 'manual' })
  const own = document.querySelector('script')!.getAttribute('src')!
  return response.ok && !(await response.text()).includes(own)
}

const OPENER_MS = 10_000

/**
 * Returns a function that gets a token where the configuration says, or `undefined` if none is needed. It rejects if
 * there is no token; the client then tries again later.
 */
export function tokenSource ({ getToken }: DashboardConfig): (() => Promise<string>) | undefined {
  if (getToken === null) return undefined
  return getToken === 'opener' ? askOpener : async () => await fetchToken(getToken)
}

async function fetchToken (address: string): Promise<string> {
  const response = await fetch(address, { credentials: 'same-origin', headers: { accept: 'application/json' } })
  if (!response.ok) throw new Error(`the token endpoint answered with ${response.status}`)
  const { token } = (await response.json()) as { token: string }
  return token
}

// Only a window of the same origin is asked, and only its answer is accepted.
async function askOpener (): Promise<string> {
  const source = (opener ?? (parent === window ? null : parent)) as Window | null
  if (source === null) throw new Error('no window has opened the page')
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => finish(() => reject(new Error('the window that opened the page has not answered'))),
      OPENER_MS
    )
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      removeEventListener('message', onMessage)
      settle()
    }
    const onMessage = ({ data, origin, source: sender }: MessageEvent) => {
      const isAnswer = origin === location.origin && sender === source && data?.type === 'mission-control:token'
      if (isAnswer && typeof data.token === 'string') finish(() => resolve(data.token))
    }
    addEventListener('message', onMessage)
    source.postMessage({ type: 'mission-control:get-token' }, location.origin)
  })
}
