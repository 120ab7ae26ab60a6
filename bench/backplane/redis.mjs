// A private Redis server in an empty folder.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'

/** A port that nobody listens on. */
export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

export class RedisServer {
  #args
  #child

  /** Starts a server. Without `args`, it saves nothing. */
  static async open (...args) {
    const server = new RedisServer()
    server.port = await freePort()
    server.folder = await mkdtemp(join(tmpdir(), 'bench-redis-'))
    server.#args = args
    await server.start()
    return server
  }

  get url () { return `redis://127.0.0.1:${this.port}` }

  /** Starts the server on its data. Resolves when it accepts connections. */
  async start () {
    const settings = ['--port', this.port, '--bind', '127.0.0.1', '--dir', this.folder, '--save', '']
    const child = spawn('redis-server', [...settings, ...this.#args], { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    const kill = () => child.kill('SIGKILL')
    process.once('exit', kill)
    child.once('exit', () => process.removeListener('exit', kill))
    for await (const line of createInterface({ input: child.stdout })) {
      if (line.includes('Ready to accept connections')) return child.stdout.resume()
    }
    throw new Error('redis-server has exited')
  }

  /** Sends a signal to the server, for example SIGSTOP. */
  signal (name) { this.#child.kill(name) }

  /** Ends the server. Resolves when it has exited. */
  async kill () {
    const child = this.#child
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  async close () {
    this.#client?.disconnect()
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }

  #client

  /** A connection for the measurement itself. */
  get client () { return (this.#client ??= new Redis(this.url).on('error', () => {})) }

  /** A section of INFO by name. */
  async info (section) {
    const text = await this.client.info(section)
    return Object.fromEntries(text.split('\r\n').filter((line) => line.includes(':')).map((line) => line.split(/:(.*)/)))
  }

  /** User and system CPU time of the server so far in µs. */
  async cpuUs () {
    const { used_cpu_user: user, used_cpu_sys: system } = await this.info('cpu')
    return (Number(user) + Number(system)) * 1e6
  }
}
