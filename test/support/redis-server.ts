import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { findRedisServer, pathOf } from './skip.js'

/** The server that tests start; guard them with `onlyWith(redisServer)`. */
export const redisServer = findRedisServer()

/** A port that nobody listens on, and that no connection gets while a server is restarted. */
export async function freePort (): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    await new Promise((resolve) => server.close(resolve))
    if (isFree) return port
  }
}

/** A Redis server of its own, in an empty folder. It keeps its port and its folder when it is restarted. */
export class RedisServer {
  readonly port: number
  readonly folder: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  /** Use `startRedisServer`. */
  constructor (port: number, folder: string, args: readonly string[]) {
    this.port = port
    this.folder = folder
    this.#args = args
  }

  get url (): string { return `redis://127.0.0.1:${this.port}` }

  /** Starts the server. Resolves when it accepts connections; rejects if it exits instead. */
  async start (...more: readonly string[]): Promise<void> {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, ...this.#args, ...more]
    const child = spawn(pathOf(redisServer), settings, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    // Without this, a test that fails in the middle would leave the server behind.
    const kill = () => { child.kill('SIGKILL') }
    process.once('exit', kill)
    child.once('exit', () => process.removeListener('exit', kill))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('Ready to accept connections')) {
        child.stdout.resume()
        return
      }
    }
    throw new Error(`the Redis server on port ${this.port} has exited`)
  }

  /** Ends the server with a signal. Resolves when it has exited. */
  async kill (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child!
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await exited
  }

  /** Stops the server: it neither answers nor closes connections until `continue`. */
  pause (): void {
    this.#child!.kill('SIGSTOP')
  }

  continue (): void {
    this.#child!.kill('SIGCONT')
  }

  /** Ends the server and starts it on the same data. */
  async restart (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.kill(signal)
    await this.start()
  }

  async close (): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Starts a server with settings such as `--appendonly`, `yes`. Without settings, it does not save anything. */
export async function startRedisServer (...args: readonly string[]): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'))
  const server = new RedisServer(await freePort(), folder, ['--save', '', ...args])
  await server.start()
  return server
}
