/** Whether a value is a promise or a thenable. Unlike `instanceof`, also true for promises of another realm. */
export function isPromiseLike (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
}

/** Calls a function of the host. What it throws, or rejects with later, goes to `onError` and nowhere else. */
export function callGuarded (call: () => unknown, onError: (err: unknown) => void): void {
  try {
    const result = call()
    if (isPromiseLike(result)) result.then(undefined, onError)
  } catch (err) {
    onError(err)
  }
}
