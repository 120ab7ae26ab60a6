// The clients of all servers in one process: plain sockets that count updates, and on request note when each arrives.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'
import { nameOf } from './lives.mjs'

const groups = new Map()
/** What has not arrived after so much silence is missing. */
const SILENCE_MS = 4_000

const pathOf = (kind, name) => kind === 'plugin'
  ? '/ws/mission-control'
  : `/socket.io/?EIO=4&transport=websocket&name=${encodeURIComponent(name)}`

const subscribe = (filter) => JSON.stringify({ type: 'subscribe', channels: ['mission_update'], ...filter })

class Client {
  updates = 0
  /** Older progress that an update says it has replaced. */
  merged = 0
  bytes = 0
  gaps = 0
  greetings = 0
  arrivals
  #rest = Buffer.alloc(0)

  constructor (socket) {
    this.socket = socket
  }

  read (chunk) {
    const data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (data.length - at >= 2) {
      const short = data[at + 1] & 127
      const header = short < 126 ? 2 : short === 126 ? 4 : 10
      if (data.length - at < header) break
      const readLong = () => header === 4 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2))
      const length = short < 126 ? short : readLong()
      const end = at + header + length
      if (data.length < end) break
      if ((data[at] & 15) === 1) this.#take(data, at + header, end)
      at = end
    }
    this.#rest = at === data.length ? Buffer.alloc(0) : Buffer.from(data.subarray(at))
  }

  send (text) {
    const payload = Buffer.from(text)
    const { length } = payload
    const size = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 255]
    this.socket.write(Buffer.concat([Buffer.from([0x81, ...size, 0, 0, 0, 0]), payload]))
  }

  #take (data, from, to) {
    // The type of a message is near its beginning.
    const head = data.latin1Slice(from, Math.min(to, from + 100))
    if (!head.includes('mission_update"')) {
      if (head.includes('subscription_gap"')) this.gaps++
      this.greetings++
      return
    }
    this.updates++
    this.bytes += to - from
    const merged = /"conflated":(\d+)\}$/.exec(data.latin1Slice(Math.max(from, to - 24), to))
    if (merged !== null) this.merged += Number(merged[1])
    if (this.arrivals === undefined) return
    const { payload } = JSON.parse(data.toString('utf8', from, to))
    this.arrivals.push([payload.missionId, payload.seq, machineMs()])
  }
}

async function open ({ kind, port, isFiltered }, number) {
  const name = nameOf(number)
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {})
  await once(socket, 'connect')
  const client = new Client(socket)
  socket.write([
    `GET ${pathOf(kind, name)} HTTP/1.1`, 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket',
    'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', '', ''
  ].join('\r\n'))
  await readHead(socket, client)
  const filter = isFiltered ? { filter: { names: [name] } } : {}
  client.send(kind === 'plugin' ? subscribe(filter) : '40')
  // Socket.IO sends two messages when a connection is open.
  while (client.greetings < (kind === 'plugin' ? 1 : 2)) await sleep(1)
  client.updates = client.merged = client.bytes = 0
  return client
}

async function readHead (socket, client) {
  let head = Buffer.alloc(0)
  for (;;) {
    const [chunk] = await once(socket, 'data')
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) continue
    if (!head.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(head.toString('latin1').slice(0, 200))
    socket.on('data', (data) => client.read(data))
    client.read(head.subarray(end + 4))
    return
  }
}

const sum = (clients, read) => clients.reduce((total, client) => total + read(client), 0)

const orders = {
  /** Connects clients; those of the group before are closed. */
  async connect ({ group, count, ...how }) {
    for (const { socket } of groups.get(group) ?? []) socket.destroy()
    const clients = []
    for (let number = 0; number < count; number++) clients.push(await open(how, number))
    groups.set(group, clients)
    return {}
  },
  /** From now on, the arrival of each update is noted. */
  watch ({ group }) {
    for (const client of groups.get(group)) client.arrivals = []
    return {}
  },
  /** Waits until each client of the groups has its updates, `due` by number, or nothing comes any more; begins anew. */
  async expect ({ groups: names, due }) {
    const clients = names.flatMap((name) => groups.get(name))
    const total = due.reduce((all, count) => all + count, 0) * names.length
    const count = () => sum(clients, ({ updates, merged }) => updates + merged)
    for (let known = -1, waits = 0; count() < total && waits < SILENCE_MS / 20; waits++) {
      await sleep(20)
      if (count() > known) waits = 0
      known = count()
    }
    await sleep(50)
    const received = sum(clients, ({ updates }) => updates)
    const merged = sum(clients, (client) => client.merged)
    const bytes = Math.round(sum(clients, (client) => client.bytes) / received)
    const gaps = sum(clients, (client) => client.gaps)
    const differences = names.flatMap((name) => groups.get(name)
      .map((client, number) => due[number] - client.updates - client.merged))
    for (const client of clients) client.updates = client.merged = client.bytes = client.gaps = 0
    return {
      received,
      merged,
      bytes,
      gaps,
      missing: differences.reduce((all, count) => all + Math.max(0, count), 0),
      surplus: differences.reduce((all, count) => all + Math.max(0, -count), 0)
    }
  },
  arrivals: ({ group }) => ({ arrivals: groups.get(group).flatMap((client) => client.arrivals) })
}

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.send({})
