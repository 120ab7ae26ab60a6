// A bad network between clients and a service: connections that pass through it are cut, reset, stalled, half closed or swallowed, each after a
// time of its own.
import { createServer, connect } from 'node:net'
import { once } from 'node:events'

const pick = (list) => list[Math.floor(Math.random() * list.length)]

/** What can happen to a connection. `near` is the client's side, `far` the service's; both are gone a while later at the latest. */
const FAULTS = {
  cut: ({ near, far }) => { near.destroy(); far.destroy() },
  reset: ({ near, far }) => { near.resetAndDestroy(); far.resetAndDestroy() },
  'half close, to the client': ({ near }) => near.end(),
  'half close, to the service': ({ far }) => far.end(),
  'stall, to the client': (link) => { stall(link, 'far') },
  'stall, to the service': (link) => { stall(link, 'near') },
  'swallow, to the client': (link) => { link.isDeaf.far = true },
  'swallow, to the service': (link) => { link.isDeaf.near = true }
}

// What does not read fills up the buffers of the system, and then those of who sends.
function stall (link, side) {
  link[side].pause()
  setTimeout(() => link[side].resume(), 500 + Math.random() * 6_000)
}

export class RoughProxy {
  faults = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]))
  #isRough = false
  #links = new Set()
  #meanMs
  #server
  #target

  /** `meanMs` is how long a connection lives undisturbed on average. */
  constructor (target, meanMs) {
    this.#target = target
    this.#meanMs = meanMs
  }

  async listen () {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => this.#open(near))
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
    return this.#server.address().port
  }

  begin () {
    this.#isRough = true
    for (const link of this.#links) this.#plan(link)
  }

  /** From now on connections are left alone; those that something has happened to end. */
  calm () {
    this.#isRough = false
    for (const link of this.#links) if (link.isHurt) FAULTS.cut(link)
  }

  close () {
    for (const link of this.#links) FAULTS.cut(link)
    this.#server.close()
  }

  #open (near) {
    const far = connect({ port: this.#target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const link = { near, far, isDeaf: { near: false, far: false }, isHurt: false }
    this.#links.add(link)
    for (const [from, to, side] of [[near, far, 'near'], [far, near, 'far']]) {
      from.on('data', (chunk) => {
        if (link.isDeaf[side] || to.destroyed || to.writableEnded) return
        // A stalled side holds up the other, as a full buffer in between would.
        if (!to.write(chunk)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
      from.on('end', () => { if (!link.isDeaf[side]) to.end() })
      from.on('error', () => {})
      from.on('close', () => {
        to.destroy()
        this.#links.delete(link)
        clearTimeout(link.timer)
      })
    }
    if (this.#isRough) this.#plan(link)
  }

  // Exponential: most faults come soon, some connections live long.
  #plan (link) {
    link.timer = setTimeout(() => {
      if (!this.#isRough) return
      const fault = pick(Object.keys(FAULTS))
      this.faults[fault]++
      link.isHurt = true
      FAULTS[fault](link)
      this.#plan(link)
    }, -Math.log(1 - Math.random()) * this.#meanMs)
  }
}
