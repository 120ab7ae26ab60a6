/**
 * A plain copy of an object of the host: its own properties, and those of `names` that its class defines. Methods keep
 * their `this`. Throws what a getter throws.
 */
export function copyObject (given: object, names: readonly string[]): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const name of new Set([...names, ...Object.keys(given)])) {
    const isOwn = Object.hasOwn(given, name)
    if (!isOwn && !(name in given)) continue
    const value = (given as Record<string, unknown>)[name]
    copy[name] = typeof value === 'function' && !isOwn ? value.bind(given) : value
  }
  return copy
}
