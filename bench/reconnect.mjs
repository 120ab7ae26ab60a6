// Ten thousand clients whose service is restarted: how many come back when, by this package's client and by the published rules of others, all on a
// virtual clock. `npm run bench:reconnect` prints the figures and draws docs/reconnect.svg; with `-- --json` it prints them as JSON and draws nothing.
import { writeFileSync } from 'node:fs'
import { connect } from '../dist/lib/client/index.js'
import { createVirtualClock } from '../dist/lib/index.js'
import { drawCurves } from './reconnect/picture.mjs'

const CLIENTS = 10_000
const DOWN_MS = 5_000
const WATCHED_MS = 40_000
const SLICE_MS = 100

// Numbers from 0 to below 1, the same in every run (mulberry32).
function createRandom (seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Counts who is accepted in each slice of time; the service is down until DOWN_MS. */
function createService (clock) {
  const accepted = new Array(WATCHED_MS / SLICE_MS).fill(0)
  let attempts = 0
  return {
    accepted,
    get attempts () { return attempts },
    /** Whether an attempt at this moment succeeds. */
    accepts () {
      attempts++
      const now = clock.monotonic()
      if (now < DOWN_MS) return false
      if (now < WATCHED_MS) accepted[Math.floor(now / SLICE_MS)]++
      return true
    }
  }
}

/** This package's client itself. `announce` gives what each client is told before the service goes, in ms; nothing if it crashes. */
function ours (announce) {
  const clock = createVirtualClock()
  const service = createService(clock)
  const sockets = []
  let isStarted = false
  class Socket {
    #listeners = new Map()
    constructor () {
      sockets.push(this)
      clock.after(1, () => {
        if (!isStarted || service.accepts()) this.tell('open', {})
        else this.tell('close', { code: 1006, reason: '' })
      })
    }

    addEventListener (type, listener) { this.#listeners.set(type, listener) }
    send () {}
    close () {}
    tell (type, event) { this.#listeners.get(type)?.({ type, ...event }) }
  }
  const random = createRandom(1)
  const clients = Array.from({ length: CLIENTS }, () => connect('ws://service.example/', { WebSocket: Socket, clock, random }))
  return {
    async run () {
      const breathe = () => new Promise((resolve) => setImmediate(resolve))
      await breathe()
      clock.advance(1)
      isStarted = true
      const start = clock.monotonic()
      const open = [...sockets]
      open.forEach((socket, at) => {
        if (announce !== undefined) {
          socket.tell('message', { data: JSON.stringify({ protocolVersion: 1, type: 'server_draining', payload: { retryAfterMs: announce(at) } }) })
          socket.tell('close', { code: 1012, reason: 'server_restart' })
        } else socket.tell('close', { code: 1006, reason: '' })
      })
      // An attempt begins with a promise, so the loop turns once for every step of time.
      for (let now = start; now < WATCHED_MS; now += 5) {
        clock.advance(5)
        await breathe()
      }
      for (const client of clients) client.close()
      return service
    }
  }
}

/** Clients that wait as a formula says: `waitMs` is given the number of the attempt, from 1, and a random source. */
function byFormula (waitMs) {
  const clock = createVirtualClock()
  const service = createService(clock)
  const random = createRandom(1)
  const attempt = (tries) => clock.after(waitMs(tries, random), () => { if (!service.accepts()) attempt(tries + 1) })
  return {
    async run () {
      for (let at = 0; at < CLIENTS; at++) attempt(1)
      clock.advance(WATCHED_MS)
      return service
    }
  }
}

// The manager of socket.io-client with its defaults: 1 s doubling up to 5 s, give or take half of it.
function socketIoMs (tries, random) {
  const ms = 1_000 * 2 ** (tries - 1)
  const drawn = random()
  const deviation = Math.floor(drawn * 0.5 * ms)
  return Math.min((Math.floor(drawn * 10) & 1) === 0 ? ms - deviation : ms + deviation, 5_000)
}

// The socket of Phoenix with its defaults: steps, the same for everybody.
const phoenixMs = (tries) => [10, 50, 100, 150, 200, 250, 500, 1_000, 2_000][tries - 1] ?? 5_000

// As the service itself spreads them: evenly over a time in which one comes in a ms.
const ANNOUNCED_MS = (at) => Math.round(Math.max(1_000, CLIENTS) * at / CLIENTS)

const RUNS = [
  ['this client, service crashed', ours(undefined)],
  ['this client, restart announced', ours(ANNOUNCED_MS)],
  ['Socket.IO\'s formula', byFormula(socketIoMs)],
  ['Phoenix\'s formula', byFormula(phoenixMs)]
]

const results = []
for (const [name, scenario] of RUNS) {
  const { accepted, attempts } = await scenario.run()
  const total = accepted.reduce((sum, count) => sum + count, 0)
  let sum = 0
  const halfAt = accepted.findIndex((count) => (sum += count) * 2 >= CLIENTS)
  const after = (slice) => Math.round((slice + 1) * SLICE_MS - DOWN_MS) / 1_000
  results.push({
    name,
    back: total,
    attempts,
    peakIn100Ms: Math.max(...accepted),
    halfBackAfterSeconds: after(halfAt),
    allBackAfterSeconds: total < CLIENTS ? null : after(accepted.findLastIndex((count) => count > 0)),
    accepted
  })
}

if (process.argv.includes('--json')) console.log(JSON.stringify(results))
else {
  console.table(results.map(({ accepted, ...rest }) => rest))
  const path = new URL('../docs/reconnect.svg', import.meta.url)
  writeFileSync(path, drawCurves(results, { sliceMs: SLICE_MS, downMs: DOWN_MS, clients: CLIENTS }))
  console.log('docs/reconnect.svg written')
}
