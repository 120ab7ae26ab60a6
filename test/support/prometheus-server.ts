import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { freePort } from './redis-server.js'
import { findPrometheus, pathOf } from './skip.js'

/** The server that tests start; guard them with `onlyWith(prometheus)`. */
export const prometheus = findPrometheus()

export interface PrometheusSample { metric: Record<string, string>, value: [seconds: number, value: string] }

interface Answer { status: string, error?: string, data: { result: PrometheusSample[] } }

/** Starts a Prometheus server with the configuration in `configFile`. It ends with the test. */
export async function startPrometheus (t: Test, configFile: string, folder: string): Promise<PrometheusServer> {
  const port = await freePort()
  const flags = [`--config.file=${configFile}`, `--storage.tsdb.path=${folder}`, `--web.listen-address=127.0.0.1:${port}`]
  const child = spawn(pathOf(prometheus), flags, { stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  // Without this, a test that fails in the middle would leave the server behind.
  const kill = () => { child.kill('SIGKILL') }
  process.once('exit', kill)
  t.teardown(async () => {
    kill()
    await exited
    process.removeListener('exit', kill)
  })
  for await (const line of createInterface({ input: child.stderr })) {
    if (!line.includes('Server is ready to receive web requests')) continue
    child.stderr.resume()
    return new PrometheusServer(port)
  }
  throw new Error('prometheus has exited')
}

export class PrometheusServer {
  readonly #url: string

  constructor (port: number) {
    this.#url = `http://127.0.0.1:${port}/api/v1/query`
  }

  /** The result of an instant query. */
  async query (query: string): Promise<PrometheusSample[]> {
    const response = await fetch(this.#url, { method: 'POST', body: new URLSearchParams({ query }) })
    const { status, error, data } = await response.json() as Answer
    if (status !== 'success') throw new Error(`${error}: ${query}`)
    return data.result
  }
}
