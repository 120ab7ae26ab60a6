import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { NegotiatedCompression } from '../../lib/routes/websocket/compression.js'
import type { Encoding } from '../../lib/hub/wire/message.js'

/** One connection of the server: the WebSocket, its socket and its frame encoding. */
export interface Accepted { websocket: WebSocket, stream: Socket, encoding: Encoding }

/** A bare WebSocket server that exposes its sockets, for tests that write frames directly. */
export async function openFrameServer (t: Test, options: ServerOptions, onConnection: (accepted: Accepted) => void): Promise<{ url: string, origin: string }> {
  const http = createServer((_request, response) => { response.setHeader('content-type', 'text/html').end('<!doctype html>') })
  const server = new WebSocketServer({ server: http, ...options })
  const negotiated = new NegotiatedCompression(server)
  server.on('connection', (websocket: WebSocket, request: IncomingMessage) => {
    onConnection({ websocket, stream: request.socket, encoding: negotiated.of(request) })
  })
  await new Promise<void>((resolve) => { http.listen({ port: 0, host: '127.0.0.1' }, resolve) })
  const { port } = http.address() as AddressInfo
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    http.close()
  })
  return { url: `ws://127.0.0.1:${port}/`, origin: `http://127.0.0.1:${port}/` }
}
