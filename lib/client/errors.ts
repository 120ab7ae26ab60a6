/** Error codes of the client without the prefix `MC_CLIENT_`. docs/client.md describes each of them. */
export type ClientErrorName =
  | 'INVALID_OPTION' | 'INVALID_TOKEN' | 'TOKEN_FAILED' | 'CONNECT_FAILED'
  | 'BAD_MESSAGE' | 'LISTENER_FAILED' | 'STORAGE_FAILED'
  | 'REFUSED' | 'TOO_LARGE' | 'OUTCOME_UNKNOWN' | 'NOT_FOUND' | 'LOST' | 'TIMEOUT' | 'ABORTED' | 'CLOSED'

export type ClientErrorCode = `MC_CLIENT_${ClientErrorName}`

/**
 * Every error of the client. `code` identifies it, `cause` is the error behind it, and `reason` is the error code of
 * the service if the service refused something. The message only names the option, id or message type concerned: longer
 * texts would be bytes for every page to load.
 */
export class ClientError extends Error {
  declare readonly code: ClientErrorCode
  declare readonly reason: string | undefined

  constructor (name: ClientErrorName, detail: string, cause?: unknown, reason?: string) {
    super(detail, { cause })
    this.name = this.code = `MC_CLIENT_${name}`
    this.reason = reason
  }
}

/** @throws MC_CLIENT_INVALID_OPTION */
export function check (name: string, isValid: unknown): void {
  if (!isValid) throw new ClientError('INVALID_OPTION', name)
}
