import type { ChannelName } from '../../schemas/channels/index.js'
import { CLIENT_EVENTS } from './channels.js'
import { check, ClientError } from './errors.js'
import type { ClientEvents, MissionsSnapshot } from './types.js'

type Listener = (...args: never[]) => unknown
type EventName = keyof ClientEvents

export interface Listeners {
  /** Adds a listener and returns the function that removes it. @throws MC_CLIENT_INVALID_OPTION */
  on (name: EventName | ChannelName, listener: Listener): () => void
  /** The same for the client itself, which may listen to channels that the user did not ask for. */
  listen (name: string, listener: Listener): () => void
  emit<Name extends EventName> (name: Name, event: ClientEvents[Name]): void
  emit (channel: ChannelName, payload: unknown, message: unknown): void
  emit (name: 'missionsState', snapshot: MissionsSnapshot): void
  /** Whether there is a listener. */
  has (name: string): boolean
}

/**
 * Listeners by event name. What one listener throws, or rejects with, does not reach the others: it becomes an `error`
 * event, or an uncaught error if there is no listener for `error`.
 */
export function createListeners (channels: readonly ChannelName[]): Listeners {
  const lists = new Map<string, Set<[Listener]>>()

  function emit (name: string, ...args: unknown[]): void {
    const list = lists.get(name)
    // As in a page: a listener that is added now has to wait for the next event, and a removed one is not called.
    for (const entry of [...list ?? []]) {
      try {
        const result = list!.has(entry) && entry[0](...args as never[]) as PromiseLike<unknown> | false | undefined
        if (result && typeof result.then === 'function') result.then(undefined, (cause: unknown) => report(name, cause))
      } catch (cause) {
        report(name, cause)
      }
    }
  }

  const has = (name: string): boolean => !!lists.get(name)?.size

  function report (name: string, cause: unknown): void {
    if (name !== 'error' && has('error')) emit('error', new ClientError('LISTENER_FAILED', name, cause))
    else queueMicrotask(() => { throw cause })
  }

  function listen (name: string, listener: Listener): () => void {
    check(name, typeof listener === 'function')
    const list = lists.get(name) ?? new Set()
    // Wrapped, so that the same function can be added twice.
    const entry: [Listener] = [listener]
    lists.set(name, list.add(entry))
    return () => { list.delete(entry) }
  }

  return {
    on (name, listener) {
      check(name, [...channels, ...CLIENT_EVENTS].includes(name))
      return listen(name, listener)
    },
    listen,
    emit,
    has
  }
}
