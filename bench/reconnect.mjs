// Reconnects of ten thousand clients after a restart of their service, on a virtual clock: with the client of this
// package and with the published formulas of other clients. `npm run bench:reconnect` prints the figures and draws
// docs/reconnect.svg. With `-- --json` it prints JSON and draws nothing.
import { writeFileSync } from 'node:fs'
import { connect } from '../dist/lib/client/index.js'
import { createVirtualClock } from '../dist/lib/index.js'
import { drawCurves } from './reconnect/picture.mjs'

const CLIENTS = 10_000
const DOWN_MS = 5_000
const WATCHED_MS = 40_000
const SLICE_MS = 100

// A seeded source of numbers in [0, 1), so that every run is identical (mulberry32).
function createRandom (seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Counts the accepted connections per slice of time. The service is down until DOWN_MS. */
function createService (clock) {
  const accepted = new Array(WATCHED_MS / SLICE_MS).fill(0)
  let attempts = 0
  return {
    accepted,
    get attempts () { return attempts },
    /** Counts an attempt and returns whether it succeeds. */
    accepts () {
      attempts++
      const now = clock.monotonic()
      if (now < DOWN_MS) return false
      if (now < WATCHED_MS) accepted[Math.floor(now / SLICE_MS)]++
      return true
    }
  }
}

/** The client of this package. `announce` returns `retryAfterMs` by client; without it the service crashes. */
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
        if (!isStarted || service.accepts()) this.dispatch('open', {})
        else this.dispatch('close', { code: 1006, reason: '' })
      })
    }

    addEventListener (type, listener) { this.#listeners.set(type, listener) }
    send () {}
    close () {}
    dispatch (type, event) { this.#listeners.get(type)?.({ type, ...event }) }
  }
  const random = createRandom(1)
  const options = { WebSocket: Socket, clock, random }
  const clients = Array.from({ length: CLIENTS }, () => connect('ws://service.example/', options))
  return {
    async run () {
      const turnLoop = () => new Promise((resolve) => setImmediate(resolve))
      await turnLoop()
      clock.advance(1)
      isStarted = true
      const start = clock.monotonic()
      const open = [...sockets]
      open.forEach((socket, at) => {
        if (announce !== undefined) {
          const message = { protocolVersion: 1, type: 'server_draining', payload: { retryAfterMs: announce(at) } }
          socket.dispatch('message', { data: JSON.stringify(message) })
          socket.dispatch('close', { code: 1012, reason: 'server_restart' })
        } else socket.dispatch('close', { code: 1006, reason: '' })
      })
      // An attempt starts with a promise, so the event loop must turn once per step of time.
      for (let now = start; now < WATCHED_MS; now += 5) {
        clock.advance(5)
        await turnLoop()
      }
      for (const client of clients) client.close()
      return service
    }
  }
}

/** Clients whose delay is a formula: `waitMs` takes the number of the attempt, from 1, and a random source. */
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

// socket.io-client with its defaults: 1 s, doubled up to 5 s, plus or minus half of it.
function socketIoMs (tries, random) {
  const ms = 1_000 * 2 ** (tries - 1)
  const drawn = random()
  const deviation = Math.floor(drawn * 0.5 * ms)
  return Math.min((Math.floor(drawn * 10) & 1) === 0 ? ms - deviation : ms + deviation, 5_000)
}

// The socket of Phoenix with its defaults: fixed steps without a random part.
const phoenixMs = (tries) => [10, 50, 100, 150, 200, 250, 500, 1_000, 2_000][tries - 1] ?? 5_000

// The service spreads reconnects evenly, one per ms.
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
    connected: total,
    attempts,
    peakIn100Ms: Math.max(...accepted),
    halfConnectedAfterSeconds: after(halfAt),
    allConnectedAfterSeconds: total < CLIENTS ? null : after(accepted.findLastIndex((count) => count > 0)),
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
