// A bad network between clients and a service: it cuts, resets, stalls or half closes connections, or discards their
// data, each after a random time.
import { createServer, connect } from 'node:net'
import { once } from 'node:events'

const pick = (list) => list[Math.floor(Math.random() * list.length)]

/** The faults. `near` is the socket to the client, `far` the socket to the service. */
const FAULTS = {
  cut: ({ near, far }) => { near.destroy(); far.destroy() },
  reset: ({ near, far }) => { near.resetAndDestroy(); far.resetAndDestroy() },
  'half close, to the client': ({ near }) => near.end(),
  'half close, to the service': ({ far }) => far.end(),
  'stall, to the client': (link) => { stall(link, 'far') },
  'stall, to the service': (link) => { stall(link, 'near') },
  'discard, to the client': (link) => { link.isDiscarding.far = true },
  'discard, to the service': (link) => { link.isDiscarding.near = true }
}

// A paused socket fills the buffers of the kernel, and then those of the sender.
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

  /** `meanMs` is the mean time until a fault. */
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

  /** Stops causing faults, and cuts the connections that had one. */
  calm () {
    this.#isRough = false
    for (const link of this.#links) if (link.isFaulty) FAULTS.cut(link)
  }

  close () {
    for (const link of this.#links) FAULTS.cut(link)
    this.#server.close()
  }

  #open (near) {
    const far = connect({ port: this.#target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    const link = { near, far, isDiscarding: { near: false, far: false }, isFaulty: false }
    this.#links.add(link)
    for (const [from, to, side] of [[near, far, 'near'], [far, near, 'far']]) {
      from.on('data', (chunk) => {
        if (link.isDiscarding[side] || to.destroyed || to.writableEnded) return
        // A stalled side stalls the other, like a full buffer.
        if (!to.write(chunk)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
      })
      from.on('end', () => { if (!link.isDiscarding[side]) to.end() })
      from.on('error', () => {})
      from.on('close', () => {
        to.destroy()
        this.#links.delete(link)
        clearTimeout(link.timer)
      })
    }
    if (this.#isRough) this.#plan(link)
  }

  // Exponentially distributed: most faults come soon, some connections stay for long.
  #plan (link) {
    link.timer = setTimeout(() => {
      if (!this.#isRough) return
      const fault = pick(Object.keys(FAULTS))
      this.faults[fault]++
      link.isFaulty = true
      FAULTS[fault](link)
      this.#plan(link)
    }, -Math.log(1 - Math.random()) * this.#meanMs)
  }
}
