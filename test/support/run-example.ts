import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const root = resolve(fileURLToPath(import.meta.url), '../../..')

/** How a program ended, and everything it printed. */
export interface Ended { code: number | null, stdout: string, stderr: string }

/** A running program. */
export class Program {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  readonly #printed = { stdout: '', stderr: '' }
  #waiting: Array<() => void> = []

  constructor (child: ChildProcess) {
    this.#child = child
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]!.setEncoding('utf8').on('data', (text: string) => {
        this.#printed[stream] += text
        this.#wake()
      })
    }
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => {
        resolve({ code, ...this.#printed })
        this.#wake()
      })
    })
  }

  /** What it has printed so far. */
  get stdout (): string { return this.#printed.stdout }

  /** Waits until stdout matches; fails if the program ends first. */
  async says (pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#printed.stdout)
      if (match !== null) return match
      if (this.#child.exitCode !== null) throw new Error(`ended without ${pattern}: ${this.#printed.stdout}${this.#printed.stderr}`)
      await new Promise<void>((resolve) => { this.#waiting.push(resolve) })
    }
  }

  signal (name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  #wake (): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/**
 * Starts Node.js as a user does. tap puts its loader and its coverage into the `NODE_OPTIONS` of every child process, which doubles the
 * time that a short program takes; the shell removes them again before it becomes the program.
 */
export function spawnNode (args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  return spawn('sh', ['-c', 'unset NODE_OPTIONS; exec "$0" "$@"', process.execPath, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
}

/** Starts an example by its path in the project; `.examples/` contains the output of `npm run build:examples`. It is killed when the test ends. */
export function startExample (t: Test, path: string, args: string[] = [], environment: NodeJS.ProcessEnv = {}): Program {
  const child = spawnNode([builtPath(path), ...args], { env: { ...cleanEnvironment(), ...environment } })
  t.teardown(() => { child.kill('SIGKILL') })
  return new Program(child)
}

/** Runs an example to its end, in a process of its own. */
export async function runExample (t: Test, path: string, args: string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await startExample(t, path, args, environment).ended
}

/** Runs an example to its end; the runs of one runner share a process and follow each other. */
export type Runner = (path: string, args?: string[], environment?: NodeJS.ProcessEnv) => Promise<Ended>

/**
 * Starts a process for many short runs. Only for programs that end when their work is done: a signal or a call of
 * `process.exit` would end the process for all.
 */
export function startRunner (t: Test): Runner {
  const child = spawnNode([resolve(root, 'test/support/example-runner.mjs')], { env: cleanEnvironment(), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const exited = once(child, 'exit').then(([code]) => { throw new Error(`the process of the examples has exited with ${code}`) })
  exited.catch(() => undefined)
  let last: Promise<unknown> = Promise.resolve()
  return async (path, args = [], environment = {}) => {
    const run = last.then(async () => {
      child.send({ path: builtPath(path), args, environment })
      const [ended] = await Promise.race([once(child, 'message'), exited])
      return ended as Ended
    })
    last = run.catch(() => undefined)
    return await run
  }
}

function builtPath (path: string): string {
  const built = resolve(root, path)
  if (!existsSync(built)) throw new Error(`there is no ${path}; npm run build:examples creates it`)
  return built
}

function cleanEnvironment (): NodeJS.ProcessEnv {
  const { PORT: _, ...inherited } = process.env
  return inherited
}
