import type { FastifyInstance } from 'fastify'
import { InvalidOption } from './base/errors.js'
import { CLOSE_GRACE_MS } from './hub/connections/connection.js'

export interface ClosingOptions {
  /** Option `missions.closeGraceMs`. */
  closeGraceMs: number
  /** Closes the service; takes at most the close grace of missions plus that of connections. */
  close: () => Promise<void>
}

/** The share of Fastify's `pluginTimeout` that one hook uses. A hook that takes all of it makes the close reject. */
const HOOK_SHARE = 0.9
/** Limited, because Fastify calls the hooks recursively. */
const MAX_HOOKS = 1_000

/**
 * Closes the service in `preClose`, while its sockets are open and it still answers. Fastify limits each hook to
 * `pluginTimeout` in real time, so several hooks wait in turn if one is not enough.
 *
 * @throws FST_MC_INVALID_OPTION if too many hooks would be needed
 */
export function closeInHooks (app: FastifyInstance, { closeGraceMs, close }: ClosingOptions): void {
  const { pluginTimeout } = app.initialConfig
  const hookMs = pluginTimeout === 0 ? Infinity : Math.ceil(pluginTimeout! * HOOK_SHARE)
  const hooks = 1 + Math.floor((closeGraceMs + CLOSE_GRACE_MS) / hookMs)
  if (hooks > MAX_HOOKS) {
    throw new InvalidOption(`missions.closeGraceMs is ${closeGraceMs}, too long for the option pluginTimeout of ` +
      `Fastify, ${pluginTimeout}: increase pluginTimeout, or set it to 0`)
  }
  let closed: Promise<void> | undefined
  for (let hook = 0; hook < hooks; hook++) {
    app.addHook('preClose', async () => {
      closed ??= close()
      await atMost(closed, hookMs)
    })
  }
}

async function atMost (promise: Promise<void>, ms: number): Promise<void> {
  if (ms === Infinity) return await promise
  let timer: NodeJS.Timeout | undefined
  const isOver = new Promise<void>((resolve) => { timer = setTimeout(resolve, ms) })
  await Promise.race([promise, isOver]).finally(() => clearTimeout(timer))
}
