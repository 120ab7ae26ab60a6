import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'
import { WebSocket, WebSocketServer, type RawData, type ServerOptions } from 'ws'

/** A message without a type, so that a test can change anything in it. */
export type Loose = Record<string, any>

/** Data that a client has sent; `message` is set if it is a JSON object. */
export interface ClientData { text: string, isBinary: boolean, message: Loose | undefined }

/** One connection through the broken server. */
export interface ProxiedConnection {
  /** State of this connection. */
  own: Loose
  /** State of all connections of this server. */
  shared: Loose
  stream: Socket
  /** Sends a message to the client unchanged. */
  send (message: Loose | string): void
  close (code: number): void
  /** Creates a server message with the envelope of the last one. */
  make (type: string, rest: Loose): Loose
}

/** A defect. Each function may replace a message; `undefined` leaves it unchanged, `[]` or `false` drops it. */
export interface Break {
  fromServer?: (message: Loose, connection: ProxiedConnection) => Array<Loose | string | Buffer> | undefined
  fromClient?: (data: ClientData, connection: ProxiedConnection) => Loose | string | false | undefined
  onOpen?: (connection: ProxiedConnection) => void
  closeCode?: (code: number) => number
  server?: ServerOptions
}

/** Starts a server with this defect in front of the correct one at `target`. Returns its address. */
export async function breakServer (t: Test, target: string, how: Break): Promise<string> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, ...how.server })
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  const shared: Loose = {}
  server.on('connection', (client, { socket }) => connect(client, socket, target, how, shared))
  await once(server, 'listening')
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function connect (client: WebSocket, stream: Socket, target: string, how: Break, shared: Loose): void {
  const upstream = new WebSocket(target, { perMessageDeflate: false })
  const isOpen = once(upstream, 'open').then(() => true, () => false)
  let last: Loose = {}
  let made = 0
  const send = (message: Loose | string | Buffer) => client.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
  const connection: ProxiedConnection = {
    own: {},
    shared,
    stream,
    send,
    close: (code) => client.close(code),
    make: (type, rest) => {
      const { protocolVersion, timestamp, unix, server } = last
      return { protocolVersion, type, id: `made_${++made}_${Math.random()}`, timestamp, unix, server, ...rest }
    }
  }
  how.onOpen?.(connection)
  for (const socket of [client, upstream]) socket.on('error', () => {})
  upstream.on('message', (data) => {
    last = JSON.parse(String(data)) as Loose
    for (const message of how.fromServer?.(last, connection) ?? [last]) send(message)
  })
  client.on('message', async (data, isBinary) => {
    const changed = how.fromClient?.(read(data, isBinary), connection)
    if (!await isOpen || changed === false) return
    if (changed === undefined) upstream.send(data, { binary: isBinary })
    else upstream.send(typeof changed === 'string' ? changed : JSON.stringify(changed))
  })
  upstream.on('close', (code) => code > 1006 ? client.close(how.closeCode?.(code) ?? code) : client.terminate())
  client.on('close', () => upstream.terminate())
}

function read (data: RawData, isBinary: boolean): ClientData {
  const text = String(data)
  try {
    const value: unknown = JSON.parse(text)
    return { text, isBinary, message: typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Loose : undefined }
  } catch {
    return { text, isBinary, message: undefined }
  }
}
