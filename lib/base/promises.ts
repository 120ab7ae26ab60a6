/** Whether a value is a promise or behaves like one; also true for promises of another realm, which `instanceof` misses. */
export function isPromiseLike (value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
}
