import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { follow } from './host/follow.js'
import { runRound } from './host/round.js'
import { Screen } from './host/screen.js'
import { createService } from './host/service.js'
import { renderRound, renderUrls } from './host/summary.js'
import { runUpkeep } from './host/upkeep.js'
import { InputError, interruption, parseFlags, readWholeNumber, runProgram } from './flags.js'

const USAGE = `Usage: npm run demo -- [--once] [--port N] [--dir PATH]

A service that audits installed packages, one mission per npm scope. It shows its missions on a page, and prints their
updates.

  --once       run one round of audits, print a summary and exit
  --port N     the port to listen on; 0 for any free port; default: PORT, or 3000
  --dir PATH   the folder of packages to audit; default: node_modules of this project`

const PACE_MS = 60
const PAUSE_MS = 3_000

interface Flags { isOnce: boolean, port: number, root: string }

async function readFlags (args: string[], environment: NodeJS.ProcessEnv): Promise<Flags> {
  const { values } = parseFlags({
    args,
    options: { once: { type: 'boolean', default: false }, port: { type: 'string' }, dir: { type: 'string' } }
  })
  const root = values.dir ?? fileURLToPath(new URL('../node_modules', import.meta.url))
  const found = await stat(root).catch(() => undefined)
  if (found?.isDirectory() !== true) {
    throw new InputError(`${root} is not a folder; install the packages first, or set --dir`)
  }
  return { isOnce: values.once, port: readPort(values.port, environment['PORT']), root }
}

function readPort (flag: string | undefined, variable: string | undefined): number {
  return flag === undefined
    ? readWholeNumber('PORT', variable ?? '3000', 0, 65_535)
    : readWholeNumber('--port', flag, 0, 65_535)
}

/** Listens on the port, or on a free one if it is taken. Returns the actual port. */
async function listen (app: FastifyInstance, port: number, screen: Screen): Promise<number> {
  try {
    await app.listen({ host: '127.0.0.1', port })
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw err
    screen.line(`Port ${port} is taken; using a free one.\n`)
    await app.listen({ host: '127.0.0.1', port: 0 })
  }
  return (app.server.address() as AddressInfo).port
}

await runProgram(USAGE, async () => {
  const { isOnce, port, root } = await readFlags(process.argv.slice(2), process.env)
  const signal = interruption()
  const screen = new Screen(process.stdout)
  const { app, finishRound } = await createService(root)
  try {
    const actualPort = await listen(app, port, screen)
    const hint = isOnce ? '' : '\nPress Ctrl-C to stop.\n'
    screen.line(`${renderUrls(actualPort)}\n\nAuditing the packages in ${root}\n${hint}`)
    const viewer = await follow(`ws://127.0.0.1:${actualPort}/ws/mission-control`, screen)
    const work = { app, root, paceMs: isOnce ? 0 : PACE_MS }
    const upkeep = isOnce ? undefined : runUpkeep(work, signal)
    while (!signal.aborted) {
      const round = await runRound({ ...work, signal })
      finishRound(round)
      await viewer.settled()
      screen.line(`\n${renderRound(round, app.monitoring.latency().p95)}\n`)
      if (isOnce) break
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined)
    }
    await upkeep
    await viewer.close()
  } finally {
    await app.close()
  }
  return 0
})
