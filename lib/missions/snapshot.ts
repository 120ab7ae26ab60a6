import type { MissionError } from '../../schemas/mission.js'

/** What stands in for a value of the host that is too large for one message: its size and its start. */
export interface Truncated { truncated: true, bytes: number, preview: string }

const PREVIEW_CHARACTERS = 256
const ERROR_CODE = /^[\w.:-]{1,64}$/

/**
 * A copy of `value` as JSON sees it, detached from the host's object. Never throws: what cannot be written as JSON (a cycle, a
 * BigInt, a getter or toJSON that throws) becomes `{ unserializable: true }`, what is over `maxBytes` a `Truncated`.
 */
export function snapshotJson (value: unknown, maxBytes: number): unknown {
  const text = stringify(value)
  if (text === undefined) return { unserializable: true }
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return JSON.parse(text)
  return { truncated: true, bytes, preview: text.slice(0, PREVIEW_CHARACTERS) } satisfies Truncated
}

function stringify (value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    // The reason would be the host's text; the placeholder says all that a viewer needs.
    return undefined
  }
}

/** The code and text of whatever was thrown. No stack, at most 2,048 characters; never throws, whatever its getters do. */
export function snapshotError (thrown: unknown): MissionError {
  if (typeof thrown === 'string') return { code: 'error', message: cut(thrown) }
  return { code: readCode(thrown), message: cut(readText(thrown, 'message') ?? 'unknown error') }
}

function readCode (thrown: unknown): string {
  const code = readText(thrown, 'code')
  return code !== undefined && ERROR_CODE.test(code) ? code : 'error'
}

function readText (thrown: unknown, property: 'code' | 'message'): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  try {
    const value: unknown = (thrown as Record<string, unknown>)[property]
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

const cut = (text: string): string => text.slice(0, 2_048)
