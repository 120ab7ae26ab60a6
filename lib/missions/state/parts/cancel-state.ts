import type { CancelKind, CancelState } from '../../../../schemas/mission.js'
import { CancelledError, type CancelRequest } from '../../types.js'

/** A cancel request as watchers see it, frozen. */
export function createCancelState (kind: CancelKind, { reason, by }: CancelRequest): CancelState {
  return Object.freeze({ requested: true, kind, reason: reason ?? null, by: by ?? null })
}

/** Aborts a controller, or a new one, with the cancel as the reason. */
export function abortWith (cancel: CancelState, controller = new AbortController()): AbortController {
  controller.abort(new CancelledError(cancel))
  return controller
}

/** A mission was asked to end: its children are asked next, then its signal aborts. */
export interface Asked<State> { readonly children: readonly State[], readonly abort: () => void }

/**
 * Asks everything below `first` to end, each mission before its children and in their order. Signals abort last, those
 * of children first, because their listeners may end missions synchronously. Without recursion: a chain of children can
 * be deeper than the stack.
 */
export function askAll<State> (first: Asked<State>, ask: (child: State) => Asked<State> | undefined): void {
  const asked = [first]
  const pending = [...first.children].reverse()
  for (let child = pending.pop(); child !== undefined; child = pending.pop()) {
    const next = ask(child)
    if (next === undefined) continue
    asked.push(next)
    for (const grandchild of [...next.children].reverse()) pending.push(grandchild)
  }
  for (const { abort } of asked.reverse()) abort()
}
