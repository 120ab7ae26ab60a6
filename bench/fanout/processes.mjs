import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url))

/** A child process that replies to each order with one message. */
export class Child {
  #child

  static async open (file, args = [], execArgv = ['--expose-gc', '--max-old-space-size=4096']) {
    const child = new Child()
    child.#child = fork(pathOf(file), args, { execArgv })
    // A process that is stopped does not notice that this one has ended.
    const kill = () => child.#child.kill('SIGKILL')
    process.once('exit', kill)
    child.#child.on('exit', (code) => {
      process.removeListener('exit', kill)
      if (code !== 0 && code !== null) throw new Error(`${file} ${args.join(' ')} ended with ${code}`)
    })
    const [ready] = await once(child.#child, 'message')
    return Object.assign(child, ready)
  }

  async ask (order, details = {}) {
    this.#child.send({ order, ...details })
    const [answer] = await once(this.#child, 'message')
    return answer
  }

  /** Sends a signal to the process, for example SIGSTOP. */
  signal (name) { this.#child.kill(name) }

  async close () {
    this.#child.kill()
    await once(this.#child, 'exit')
  }
}

export const openServer = (kind, settings = {}) => Child.open('server.mjs', [kind, JSON.stringify(settings)])

export const openClients = () => Child.open('clients.mjs')

/** Time of the monotonic clock that all processes of this machine share, in ms with fractions. */
export const machineMs = () => Number(process.hrtime.bigint()) / 1e6

export function median (values) {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2
}

export const round = (value, digits = 2) => Math.round(value * 10 ** digits) / 10 ** digits
