/** Returns the value at a path such as `workflow_run.id`. Any part of it may be missing or have another type. */
export function at (payload: unknown, path: string): unknown {
  return path.split('.').reduce((value, key) => (value as Record<string, unknown> | null | undefined)?.[key], payload)
}

export function text (payload: unknown, path: string): string | undefined {
  const value = at(payload, path)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Returns a time in ms since 1970. */
export function time (payload: unknown, path: string): number | undefined {
  const value = Date.parse(text(payload, path) ?? '')
  return value >= 0 ? value : undefined
}

/** Returns an id, or a number that counts from 1. */
export function whole (payload: unknown, path: string): number | undefined {
  const value = at(payload, path)
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined
}
