// The clients of all servers in one process: plain sockets that count frames and, on request, measure their age.
import { connect } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from './processes.mjs'

const groups = new Map()

const HELLO = {
  plugin: [{ text: '{"type":"subscribe","channels":["mission_update"]}', frames: 1 }],
  audience: [{ text: '{"type":"subscribe","channels":["mission_update"]FILTER}', frames: 1 }],
  silent: [],
  socketIo: [{ text: '40', frames: 2 }],
  ws: [],
  net: null
}
const PATHS = {
  plugin: '/ws/mission-control',
  audience: '/ws/mission-control',
  silent: '/ws/mission-control',
  socketIo: '/socket.io/?EIO=4&transport=websocket',
  ws: '/'
}

class Client {
  frames = 0
  isOpen = true
  #parts = Buffer.alloc(0)
  #group

  constructor (group) {
    this.#group = group
  }

  read (chunk) {
    const data = this.#parts.length === 0 ? chunk : Buffer.concat([this.#parts, chunk])
    let at = 0
    while (data.length - at >= 2) {
      const short = data[at + 1] & 127
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      if (data.length - at < header) break
      const readLong = () => header === 4 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2))
      const length = short < 126 ? short : readLong()
      if (data.length - at < header + length) break
      const opcode = data[at] & 15
      if (opcode === 9) this.socket.write(masked(10, ''))
      if (opcode === 1) this.#count(data.subarray(at + header, at + header + length))
      at += header + length
    }
    this.#parts = at === data.length ? Buffer.alloc(0) : data.subarray(at)
  }

  #count (payload) {
    const group = this.#group
    // Every client receives every message in order, so the number of the frame identifies the message.
    group.arrivals?.push(this.frames, machineMs())
    this.frames++
    group.frames++
    group.bytes += payload.length
  }
}

function masked (opcode, text) {
  const payload = Buffer.from(text)
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}

const upgrade = (kind, { deflate, audiences = 1 }, number) => [
  `GET ${PATHS[kind]}?audience=${number % audiences} HTTP/1.1`,
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ...(deflate ? ['Sec-WebSocket-Extensions: permessage-deflate'] : []),
  '',
  ''
].join('\r\n')

async function open (group, { kind, port, isFrozen, ...how }, number) {
  const client = new Client(group)
  // One loopback address has too few ports for all clients.
  const socket = connect({ port, host: `127.0.0.${1 + Math.floor(number / 20_000)}`, noDelay: true })
  client.socket = socket
  socket.on('error', () => {}).on('close', () => { client.isOpen = false })
  await once(socket, 'connect')
  if (kind !== 'net') {
    socket.write(upgrade(kind, how, number))
    const head = await readHead(socket)
    socket.on('data', (chunk) => client.read(chunk))
    if (head.rest.length > 0) client.read(head.rest)
    for (const { text, frames } of HELLO[kind]) {
      const filter = how.isFiltered ? `,"filter":{"names":["nightly ${number % how.audiences}"]}` : ''
      socket.write(masked(1, text.replace('FILTER', filter)))
      while (client.frames < frames) await sleep(1)
    }
  } else {
    socket.on('data', (chunk) => client.read(chunk))
  }
  if (isFrozen) socket.pause()
  client.frames = 0
  return client
}

async function readHead (socket) {
  let head = Buffer.alloc(0)
  for (;;) {
    const [chunk] = await once(socket, 'data')
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) continue
    if (!head.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(head.toString('latin1').slice(0, 200))
    return { rest: head.subarray(end + 4) }
  }
}

const orders = {
  async connect ({ group: name, count, ...how }) {
    const group = groups.get(name) ?? { clients: [], frames: 0, bytes: 0 }
    groups.set(name, group)
    const before = group.clients.length
    for (let at = 0; at < count; at += 50) {
      const numbers = Array.from({ length: Math.min(50, count - at) }, (_, i) => before + at + i)
      group.clients.push(...await Promise.all(numbers.map((number) => open(group, how, number))))
    }
    group.frames = group.bytes = 0
    return {}
  },
  /** Waits until each client has received `frames` more, or for `timeoutMs`. `bytes` is the mean payload size. */
  async expect ({ group: name, frames, timeoutMs = 60_000 }) {
    const group = groups.get(name)
    const due = frames * group.clients.length
    const until = Date.now() + timeoutMs
    while (group.frames < due && Date.now() < until) await sleep(1)
    const { frames: received, bytes } = group
    group.frames = group.bytes = 0
    return { missing: due - received, bytes: Math.round(bytes / received) }
  },
  async watch ({ group: name }) {
    const group = groups.get(name)
    group.arrivals = []
    for (const client of group.clients) client.frames = 0
    return {}
  },
  /** Ages of all messages since `watch` in ms, and of the second half. `publishedAt` has the publication times. */
  async ages ({ group: name, publishedAt }) {
    const { arrivals } = groups.get(name)
    const ages = (from) => {
      const list = []
      for (let at = 0; at < arrivals.length; at += 2) {
        if (arrivals[at] >= from) list.push(arrivals[at + 1] - publishedAt[arrivals[at]])
      }
      return Float64Array.from(list).sort()
    }
    const p99 = (sorted) => sorted[Math.floor(sorted.length * 0.99)]
    const all = ages(0)
    return { p50: all[all.length >> 1], p99: p99(all), max: all.at(-1), lateP99: p99(ages(publishedAt.length >> 1)) }
  },
  async alive ({ group: name }) {
    return { alive: groups.get(name).clients.filter(({ isOpen }) => isOpen).length }
  },
  async close ({ group: name }) {
    for (const { socket } of groups.get(name).clients) socket.destroy()
    groups.delete(name)
    return {}
  }
}

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.send({})
