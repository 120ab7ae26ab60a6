import { randomUUID } from 'node:crypto'
import { LONGEST_TIMER_MS } from '../../../schemas/limits.js'
import { InvalidOption } from '../../base/errors.js'
import type { Backplane } from '../contract.js'
import { MemoryConnection, type MemoryConnections } from './connection.js'
import { MemoryLog } from './memory-log.js'

export interface MemoryBackplaneOptions {
  /** How long a process may be silent before it counts as dead, in ms. Default: 15,000. */
  leaseMs?: number
  /** How many batches of entries are kept for processes that read on. Default: 8,192. */
  maxBatches?: number
  /** How many bytes of them, roughly. Default: 33,554,432. */
  maxBytes?: number
}

/**
 * Creates a backplane within one process: all apps that are given the same object share one log. For tests and
 * examples; apps in several processes need another backplane. All apps must use the same clock.
 *
 * @throws FST_MC_INVALID_OPTION for an option that is not a whole number above 0
 */
export function createMemoryBackplane (options: MemoryBackplaneOptions = {}): Backplane {
  const { leaseMs = 15_000, ...limits } = options
  for (const [name, value] of Object.entries({ leaseMs, ...limits })) checkCount(name, value)
  const log = new MemoryLog({ leaseMs, limits, createToken: () => randomUUID() })
  const members: MemoryConnections = new Set()
  return { leaseMs, connect: (context) => new MemoryConnection({ log, members, context }) }
}

function checkCount (name: string, value: unknown): void {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LONGEST_TIMER_MS) return
  throw new InvalidOption(`the backplane option ${name} must be a whole number from 1 to ${LONGEST_TIMER_MS}`)
}
