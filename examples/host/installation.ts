import { once } from 'node:events'
import { watch } from 'node:fs'
import type { Mission } from 'fastify-mission-control'
import type { WorkOptions } from './work.js'

/** Longer than the time after which a mission of the demo counts as stalled. */
const TIMEOUT_MS = 45_000

/**
 * Starts a mission that waits until a package is installed or removed. Nothing is reported meanwhile, so it stalls, and
 * if nothing is installed, it times out.
 */
export function awaitInstallation ({ app, root }: WorkOptions): Mission {
  const objective = `Wait until a package in ${root} is installed or removed`
  const init = { name: 'await installation', objective, tags: ['watch'], timeoutMs: TIMEOUT_MS }
  return app.missions.spawn(init, async (mission) => {
    mission.executionStarted()
    const watcher = watch(root)
    try {
      const [, changed] = await once(watcher, 'change', { signal: mission.signal })
      mission.annotate({ changed })
    } finally {
      watcher.close()
    }
  })
}
