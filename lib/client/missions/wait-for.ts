import type { AbortSignalLike, ClientTimer } from '../connection/platform.js'
import type { ClientContext } from '../context.js'
import { ClientError, type ClientErrorName } from '../errors.js'
import type { ClientMissionState } from '../types.js'
import type { Waiters } from './waiters.js'

export interface ClientWaitOptions {
  /** Rejects after this many ms; by default it waits until the mission has ended. */
  timeoutMs?: number
  signal?: AbortSignalLike
}

/** Waits for the end of a mission, with a time limit and a signal. */
export async function waitFor (
  { clock }: ClientContext, { add }: Waiters, id: string, { timeoutMs, signal }: ClientWaitOptions = {}
): Promise<ClientMissionState> {
  let abort!: () => void
  let remove!: () => void
  let timer: ClientTimer | undefined
  try {
    return await new Promise((resolve, reject) => {
      const stop = (name: ClientErrorName) => () => reject(new ClientError(name, id, signal?.reason))
      abort = stop('ABORTED')
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort)
      if (timeoutMs !== undefined) timer = clock.after(timeoutMs, stop('TIMEOUT'))
      remove = add(id, { resolve, reject })
    })
  } finally {
    remove()
    timer?.cancel()
    signal?.removeEventListener('abort', abort)
  }
}
