// Some of the clients, in a process of their own. They use the client library, and everything that arrives is checked.
import { WebSocket } from 'ws'
import { connect } from '../../dist/lib/client/index.js'
import { ClientLedger, isTerminal } from './client-ledger.mjs'

const { url, count } = JSON.parse(process.argv[2])

function openClient () {
  const ledger = new ClientLedger()
  class TappedSocket extends WebSocket {
    constructor (...args) {
      super(...args)
      // A client ignores what arrives on a connection that it has given up, such as that of a stopped process.
      this.on('message', (data) => { if (this.readyState === WebSocket.OPEN) ledger.receive(JSON.parse(data)) })
    }
  }
  return { ledger, client: connect(url, { WebSocket: TappedSocket, heartbeatMs: 2_000 }) }
}

const clients = Array.from({ length: count }, openClient)

/** What of a client's map differs from the picture of the log: texts. */
function differences ({ client, ledger }, picture, endings, excused) {
  if (client.state !== 'open') return [`state ${client.state}`]
  const found = []
  const known = client.missionsState
  for (const [id, { attempt, status, seq }] of picture) {
    const mine = known.get(id)
    if (!isTerminal(status) && mine === undefined) found.push(`${id} is unknown`)
    else if (mine !== undefined && (mine.status !== status || (mine.attempt ?? 1) !== attempt)) {
      found.push(`${id} is ${mine.status} ${mine.attempt} instead of ${status} ${attempt}`)
    } else if (mine !== undefined && !isTerminal(status) && mine.seq !== seq) found.push(`${id} at ${mine.seq}, not ${seq}`)
  }
  for (const { missionId: id, status } of known.values()) {
    if (!picture.has(id) && !excused.has(id)) found.push(`${id} is ${status} and should be unknown`)
  }
  for (const [key, { status, endedAt }] of endings) {
    const told = ledger.endings.get(key)
    if (told === undefined && endedAt > ledger.since) found.push(`the ending of ${key} was not told`)
    else if (told !== undefined && told.status !== status && !excused.has(key.split(' ')[0])) found.push(`${key} ended as ${status}, not ${told.status}`)
  }
  return found
}

const orders = {
  /** The number of clients whose map differs, and examples. */
  compare ({ picture, endings, excused }) {
    const map = new Map(picture)
    const lists = clients.map((one) => differences(one, map, endings, new Set(excused)))
    const wrong = lists.filter((list) => list.length > 0)
    return { wrong: wrong.length, examples: [...new Set(wrong.flat())].slice(0, 5), untold: untold(lists) }
  },
  ledgers: () => ({
    ledgers: clients.map(({ ledger: { faults, gaps, resumes, restated, endings, since } }) =>
      ({ faults, gaps, resumes, restated, since, endings: endings.size }))
  }),
  count: () => ({ open: clients.filter(({ client }) => client.state === 'open').length })
}

const untold = (lists) => lists.flat().filter((text) => text.endsWith('was not told')).length

process.on('message', async ({ order, ...details }) => process.send(await orders[order](details)))
process.on('disconnect', () => process.exit(0))
process.send({})
