import type { ClientContext } from '../context.js'
import { ClientError } from '../errors.js'
import type { StateCause } from '../types.js'
import type { ReconnectPolicy } from './backoff.js'
import type { Timeout } from './platform.js'

/** `getToken` may need a request of its own. */
const TOKEN_MS = 60_000
/** Characters allowed in a subprotocol (RFC 6455 §4.1, RFC 9110 §5.6.2). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** Called without a token, because of an error or because the time is up. */
type OnFailure = (cause: StateCause, policy?: ReconnectPolicy, error?: ClientError) => void

/** Calls one of the two functions once; what `getToken` returns after its time is up has no effect. */
export async function readToken (
  { getToken }: ClientContext, timeout: Timeout, use: (token: string) => void, fail: OnFailure
): Promise<void> {
  let isLate: boolean | undefined
  timeout(TOKEN_MS, () => {
    isLate = true
    fail('token_failed')
  })
  try {
    const token: unknown = await getToken!()
    if (isLate) return
    timeout()
    if (typeof token === 'string' && TOKEN.test(token)) use(token)
    else fail('invalid_token', 'never', new ClientError('INVALID_TOKEN', 'getToken'))
  } catch (err) {
    if (!isLate) fail('token_failed', 'soon', new ClientError('TOKEN_FAILED', 'getToken', err))
  }
}

/** Creates the function that sends a new token over the current connection, one at a time. */
export function createRenewal (context: ClientContext, timeout: Timeout): () => void {
  const { getToken, emit } = context
  let isRenewing = false
  return () => {
    if (!getToken || isRenewing) return
    isRenewing = true
    readToken(context, timeout, (token) => {
      isRenewing = false
      if (context.isUp) context.send({ type: 'auth_refresh', id: context.makeId(), token })
    }, (_cause, _policy, error) => {
      isRenewing = false
      // The service closes the connection when the old token expires.
      if (error) emit('error', error)
    })
  }
}
