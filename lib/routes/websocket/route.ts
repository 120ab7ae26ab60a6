import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { CloseReason } from '../../../schemas/messages/close-codes.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import { OriginRefused, TooManyConnections, UpgradeRefused, UpgradeRequired } from '../../base/errors.js'
import { CLOSE_GRACE_MS } from '../../hub/connections/connection.js'
import type { RefusalReason } from '../../hub/connections/admission.js'
import type { Hub } from '../../hub/hub.js'
import type { SocketEvents } from '../../hub/socket-events.js'
import { BURST_SECONDS } from '../../hub/connections/token-bucket.js'
import type { Encoding } from '../../hub/wire/message.js'
import { WebSocketFrameWriter } from './frame-writer.js'
import { NegotiatedCompression } from './compression.js'
import { isOriginAllowed } from './origin.js'
import { isWebSocketRoute, WEBSOCKET_ROUTE } from '../own-route.js'
import { limitInboundFrames } from './inbound-limits.js'
import { UpgradeDispatch } from './upgrade.js'

/** Limits of the receiving side that ws enforces itself; without them unfinished fragments pile up in memory. */
const MAX_FRAGMENTS = 256
const MAX_BUFFERED_CHUNKS = 4_096

/** Nothing is taken over from message to message in either direction, so that no connection keeps a compression state. */
const DEFLATE = { serverNoContextTakeover: true, clientNoContextTakeover: true }

/** What clients that are refused are told to wait before they try again. */
const RETRY_AFTER_SECONDS = 1

/** What ws closes a connection for by itself, by the code of its error; all else is a broken frame. */
const FAILURES: Record<string, CloseReason> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'message_too_large',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'message_too_large',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'too_many_fragments',
  WS_ERR_INVALID_UTF8: 'invalid_utf8'
}

const REFUSAL = {
  origin: OriginRefused,
  connections: TooManyConnections,
  rate: TooManyConnections,
  overload: TooManyConnections,
  closing: TooManyConnections
} as const

export interface WebSocketRouteDeps {
  hub: Hub
  /** Whether the WebSocket server is the host's, with limits of its own. */
  isHostServer: boolean
  options: ResolvedOptions['websocket']
}

/**
 * Gives the scope WebSocket support: the host's own @fastify/websocket if it has registered one, else one for this scope alone,
 * so that the host may still register its own later.
 */
export async function provideWebSocket (scope: FastifyInstance, options: ResolvedOptions['websocket']): Promise<{ isHostServer: boolean }> {
  const isHostServer = scope.hasDecorator('websocketServer')
  if (!isHostServer) await registerOwn(scope, options)
  return { isHostServer }
}

/**
 * Refuses upgrades to the other routes of the scope, which a host's @fastify/websocket would carry out and then close, and those of
 * foreign pages; on close it cuts off those that still wait in a hook.
 */
export function guardUpgrades (scope: FastifyInstance, hub: Hub, { allowedOrigins }: ResolvedOptions['websocket']): void {
  const sockets = new Set<Socket>()
  // The hub's goodbye comes before: who is left never became a connection, and the HTTP server waits for them without bound.
  scope.addHook('preClose', async () => { for (const socket of sockets) socket.destroy() })
  scope.addHook('onRequest', async (request, reply) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return
    if (!isWebSocketRoute(request)) throw new UpgradeRefused()
    const { host, protocol, headers: { origin } } = request
    if (!isOriginAllowed({ origin, host, protocol }, allowedOrigins)) {
      return refuse(reply, hub.refuse('origin'))
    }
    const socket = socketOf(request)
    if (socket === undefined) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
}

/** The WebSocket route: who may come in, and the wiring of each socket to the hub. */
export function mountWebSocket (scope: FastifyInstance, { hub, isHostServer, options }: WebSocketRouteDeps): void {
  const negotiated = options.compression ? new NegotiatedCompression(scope.websocketServer) : undefined
  scope.route({
    method: 'GET',
    url: options.path,
    exposeHeadRoute: false,
    config: WEBSOCKET_ROUTE as object,
    schema: { hide: true } as object,
    // The last hook before the handler, and with a callback instead of a promise the upgrade follows in the same step: however many
    // upgrades end their hooks at once, the limit holds exactly.
    preHandler (request, reply, done) {
      const reason = request.ws ? hub.admit() : undefined
      if (reason === undefined) done()
      else refuse(reply, reason)
    },
    handler: async () => { throw new UpgradeRequired() },
    wsHandler (socket, request) {
      // Left to the library, clients of ours would be closed without a code before we could say goodbye.
      scope.websocketServer.clients?.delete(socket)
      const input = attach(socket, request, hub, negotiated?.of(request.raw) ?? 'plain')
      if (isHostServer) limitMessages(socket, request, input, options.maxPayloadBytes)
    }
  })
}

// Sent, not thrown: Fastify logs what is thrown, and a flood of connections would become a flood of error lines.
function refuse (reply: FastifyReply, reason: RefusalReason): FastifyReply {
  const { statusCode, code, message } = new REFUSAL[reason]()
  if (reason !== 'origin') reply.header('retry-after', RETRY_AFTER_SECONDS)
  return reply.code(statusCode!).send({ statusCode, code, error: STATUS_CODES[statusCode!], message })
}

async function registerOwn (scope: FastifyInstance, options: ResolvedOptions['websocket']): Promise<void> {
  const dispatch = new UpgradeDispatch(scope.server, scope.prefix + options.path)
  await scope.register(websocket, {
    options: {
      maxPayload: options.maxPayloadBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_BUFFERED_CHUNKS,
      // ws cuts a flood of pings off without a word; up to here the rate limit is first, and says why. The bound stays for pings of a
      // peer that does not read our pongs.
      maxPendingAutoPongs: options.maxMessagesPerSecond * BURST_SECONDS + 1,
      perMessageDeflate: options.compression ? DEFLATE : false,
      clientTracking: false,
      closeTimeout: CLOSE_GRACE_MS
    } as object,
    // The hub says goodbye with a code and a bound on time; the default does neither.
    preClose: async () => { dispatch.close() },
    // ws answers a broken frame with the right close code; cutting the socket here, as the default does, could swallow it.
    errorHandler (err, _socket, request) {
      try {
        request.log.debug({ err }, 'websocket error')
      } catch {
        // This is called from an event of the socket, where a logger that throws would end the process; the hub has counted the error.
      }
    }
  })
  dispatch.claim()
  scope.addHook('onReady', async () => { dispatch.guard() })
}

// Everything is attached in the turn of the upgrade: a message that came before would be lost.
function attach (websocket: WebSocket, request: FastifyRequest, hub: Hub, encoding: Encoding): SocketEvents {
  const sink = new WebSocketFrameWriter(websocket, socketOf(request), encoding, () => input.drained())
  const input = hub.connect(sink, request)
  websocket.on('message', (data: RawData) => input.message(data as Buffer))
  websocket.on('ping', () => input.ping())
  websocket.on('pong', () => input.pong())
  websocket.on('error', (err) => input.failed(FAILURES[String((err as { code?: string }).code)] ?? 'invalid_frame'))
  websocket.on('close', () => input.closed())
  return input
}

function limitMessages (websocket: WebSocket, request: FastifyRequest, input: SocketEvents, maxBytes: number): void {
  const stream = socketOf(request)
  if (stream !== undefined) limitInboundFrames(stream, { maxBytes, maxFragments: MAX_FRAGMENTS }, (limit) => input.refused(limit))
  // Where the host's server negotiated compression, only the message itself shows its size.
  websocket.prependListener('message', (data: RawData) => { if ((data as Buffer).length > maxBytes) input.refused('message_too_large') })
}

// A request that a test injects has none.
const socketOf = (request: FastifyRequest): Socket | undefined => request.raw.socket
