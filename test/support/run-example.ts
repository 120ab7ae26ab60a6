import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const root = resolve(fileURLToPath(import.meta.url), '../../..')

/** How a program ended and all that it said. */
export interface Ended { code: number | null, stdout: string, stderr: string }

/** A program that runs; it is killed when the test ends before it does. */
export class Program {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  readonly #said = { stdout: '', stderr: '' }
  #waiting: Array<() => void> = []

  constructor (child: ChildProcess) {
    this.#child = child
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream]!.setEncoding('utf8').on('data', (text: string) => {
        this.#said[stream] += text
        this.#wake()
      })
    }
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => {
        resolve({ code, ...this.#said })
        this.#wake()
      })
    })
  }

  /** Waits until the program has said something on stdout that matches; fails if it ends first. */
  async says (pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#said.stdout)
      if (match !== null) return match
      if (this.#child.exitCode !== null) throw new Error(`ended without ${pattern}: ${this.#said.stdout}${this.#said.stderr}`)
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
 * Starts an example by its path in the project, `.examples/` for what `npm run build:examples` made. Without tap's loader and coverage:
 * it is to run as it does for a user.
 */
export function startExample (t: Test, path: string, args: string[] = [], environment: NodeJS.ProcessEnv = {}): Program {
  if (!existsSync(resolve(root, path))) throw new Error(`there is no ${path}; npm run build:examples makes it`)
  const { NODE_OPTIONS: _, PORT: __, ...inherited } = process.env
  const child = spawn(process.execPath, [resolve(root, path), ...args], {
    cwd: root,
    env: { ...inherited, NODE_V8_COVERAGE: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => { child.kill('SIGKILL') })
  return new Program(child)
}

/** Runs an example to its end. */
export async function runExample (t: Test, path: string, args: string[] = [], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await startExample(t, path, args, environment).ended
}
