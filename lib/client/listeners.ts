import { ClientError } from './errors.js'

type Listener = (...args: never[]) => void

export interface Listeners {
  /** Adds a listener and gives the function that removes it. */
  on (name: string, listener: Listener): () => void
  emit (name: string, ...args: unknown[]): void
}

/** Who listens to what. A listener that throws hurts nobody else: it becomes an `error` event, or is thrown later if nobody listens to those. */
export function createListeners (): Listeners {
  const lists = new Map<string, Set<[Listener]>>()

  function emit (name: string, ...args: unknown[]): void {
    for (const [listener] of lists.get(name) ?? []) {
      try {
        listener(...args as never[])
      } catch (cause) {
        report(name, cause)
      }
    }
  }

  function report (name: string, cause: unknown): void {
    if (name !== 'error' && lists.get('error')?.size) emit('error', new ClientError('LISTENER_FAILED', name, cause))
    else queueMicrotask(() => { throw cause })
  }

  return {
    on (name, listener) {
      const list = lists.get(name) ?? new Set()
      lists.set(name, list)
      const entry: [Listener] = [listener]
      list.add(entry)
      return () => { list.delete(entry) }
    },
    emit
  }
}
