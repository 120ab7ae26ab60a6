/**
 * A plain copy of an object of the host: its own properties, and those of `names` that its class defines. Throws what a
 * getter throws.
 */
export function copyObject (given: object, names: readonly string[]): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const name of new Set([...names, ...Object.keys(given)])) {
    if (Object.hasOwn(given, name) || name in given) copy[name] = (given as Record<string, unknown>)[name]
  }
  return copy
}
