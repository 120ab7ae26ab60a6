// A TCP proxy between two processes, which can be made to fail.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** How a network fails. Data that is stalled arrives later, like that of a network that comes back. */
export const BREAKS = ['stall both ways', 'stall requests', 'stall answers', 'reset']

export class Proxy {
  #links = new Set()
  #server
  #targets
  #turn = 0
  #broken

  /** `targets` returns the ports to choose from, in turn. */
  constructor (targets) {
    this.#targets = targets
  }

  async listen () {
    this.#server = createServer({ noDelay: true }, (near) => this.#open(near))
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
    this.port = this.#server.address().port
    return this
  }

  /** Returns the number of connections at this moment. */
  break (how) {
    this.#broken = how
    const count = this.#links.size
    for (const link of this.#links) this.#apply(link)
    return count
  }

  heal () { this.break(undefined) }

  close () {
    this.#server.close()
    for (const link of this.#links) cut(link)
  }

  #open (near) {
    const ports = this.#targets()
    if (ports.length === 0 || this.#broken === 'reset') return near.on('error', () => {}).resetAndDestroy()
    const far = connect({ port: ports[this.#turn++ % ports.length], host: '127.0.0.1', noDelay: true })
    const link = { near, far }
    this.#links.add(link)
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on('data', (chunk) => {
        if (to.destroyed || to.write(chunk)) return
        from.pause()
        to.once('drain', () => this.#apply(link))
      })
      from.on('error', () => {}).on('end', () => to.end())
      from.on('close', () => {
        to.destroy()
        this.#links.delete(link)
      })
    }
    this.#apply(link)
  }

  #apply (link) {
    const broken = this.#broken
    if (broken === 'reset') return cut(link)
    const isStalled = (name) => broken === 'stall both ways' || broken === name
    toggle(link.near, isStalled('stall requests'))
    toggle(link.far, isStalled('stall answers'))
  }
}

const toggle = (socket, isPaused) => isPaused ? socket.pause() : socket.resume()

function cut ({ near, far }) {
  near.resetAndDestroy()
  far.resetAndDestroy()
}
