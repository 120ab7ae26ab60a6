/**
 * Whether a value is a promise or a thenable. Unlike `instanceof`, also true for promises of another realm. Never
 * throws.
 */
export function isPromiseLike (value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  try {
    return typeof (value as { then?: unknown }).then === 'function'
  } catch {
    // A getter of the host. Nothing can be waited for.
    return false
  }
}

/** Calls a function of the host. What it throws, or rejects with later, goes to `onError` and nowhere else. */
export function callGuarded (call: () => unknown, onError: (err: unknown) => void): void {
  try {
    const result = call()
    if (isPromiseLike(result)) onRejection(result, onError)
  } catch (err) {
    onError(err)
  }
}

/** Calls a function of the host that must answer at once. Throws what it throws, and a TypeError for a promise. */
export function callSync (call: () => unknown): unknown {
  const answer = call()
  if (!isPromiseLike(answer)) return answer
  // The promise itself is the error, however it settles. An unhandled rejection would end the process.
  onRejection(answer, () => {})
  throw new TypeError('expected a synchronous return value, got a promise')
}

/** Passes a rejection on. `Promise.resolve` limits thenables: one may throw, or call back more than once. */
export function onRejection (promise: PromiseLike<unknown>, onError: (err: unknown) => void): void {
  Promise.resolve(promise).then(undefined, onError)
}
