import { STATUS_CODES } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { CloseReason } from '../../../schemas/messages/close-codes.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Viewer } from '../../access/viewer.js'
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
import { addressOf, isWebSocketRoute, WEBSOCKET_ROUTE } from '../own-route.js'
import type { Identities } from '../identify.js'
import { limitInboundFrames } from './inbound-limits.js'
import { UpgradeDispatch } from './upgrade.js'

/** Limits for incoming messages that ws enforces; without them unfinished fragments would accumulate in memory. */
const MAX_FRAGMENTS = 256
const MAX_BUFFERED_CHUNKS = 4_096

/** No context takeover in either direction, so that no connection keeps a compression state. */
const DEFLATE = { serverNoContextTakeover: true, clientNoContextTakeover: true }

/** The `Retry-After` of refused upgrades. */
const RETRY_AFTER_SECONDS = 1

/** Close reasons by the code of the error with which ws closes a connection; any other code means a broken frame. */
const CLOSE_REASONS: Record<string, CloseReason> = {
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

type WebSocketOptions = ResolvedOptions['websocket']

export interface WebSocketRouteDeps {
  hub: Hub
  identities: Identities
  /** Whether the WebSocket server is the host's, which has limits of its own. */
  isHostServer: boolean
  options: WebSocketOptions
}

/**
 * Adds WebSocket support to the scope: the host's @fastify/websocket if it is registered, else one for this scope
 * alone, so that the host can still register its own later.
 */
export async function provideWebSocket (
  scope: FastifyInstance, options: WebSocketOptions
): Promise<{ isHostServer: boolean }> {
  const isHostServer = scope.hasDecorator('websocketServer')
  if (!isHostServer) await registerOwn(scope, options)
  return { isHostServer }
}

/**
 * Refuses upgrades over HTTP/1.0 and from pages of other origins. Refuses upgrades to other routes of the scope too:
 * the host's @fastify/websocket would accept and then close them. When the service closes, it destroys sockets with an
 * upgrade that is still waiting in a hook.
 */
export function guardUpgrades (scope: FastifyInstance, hub: Hub, { allowedOrigins }: WebSocketOptions): void {
  const sockets = new Set<Socket>()
  // The hub has closed its connections before. The remaining sockets never became a connection, and the HTTP server
  // would wait for them without a limit.
  scope.addHook('preClose', async () => { for (const socket of sockets) socket.destroy() })
  scope.addHook('onRequest', async (request, reply) => {
    if (request.headers.upgrade?.toLowerCase() !== 'websocket') return
    if (!isWebSocketRoute(request)) throw new UpgradeRefused()
    const { host, protocol, headers: { origin } } = request
    if (!isOriginAllowed({ origin, host, protocol }, allowedOrigins)) {
      return refuse(reply, hub.refuse('origin'))
    }
    // RFC 6455 §4.2.1 requires HTTP/1.1; ws does not check the version.
    if (request.raw.httpVersion === '1.0') requireUpgrade(request, reply)
    const socket = socketOf(request)
    if (socket === undefined) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
}

/** The WebSocket route: admits connections and connects each socket to the hub. */
export function mountWebSocket (scope: FastifyInstance, deps: WebSocketRouteDeps): void {
  const { hub, isHostServer, identities, options } = deps
  const negotiated = options.compression ? new NegotiatedCompression(scope.websocketServer) : undefined
  scope.route({
    method: 'GET',
    url: options.path,
    exposeHeadRoute: false,
    config: WEBSOCKET_ROUTE as object,
    schema: { hide: true } as object,
    // This is the last hook before the handler, and with a callback instead of a promise the upgrade follows
    // synchronously. So the limit is exact, no matter how many upgrades finish their hooks at once.
    preHandler (request, reply, done) {
      const reason = request.ws ? hub.admit() : undefined
      if (reason === undefined) done()
      else refuse(reply, reason)
    },
    handler: async (request, reply) => requireUpgrade(request, reply),
    wsHandler (socket, request) {
      // On close, the library would close these clients without a code before the hub can send its close frames.
      scope.websocketServer.clients?.delete(socket)
      const encoding = negotiated?.of(request.raw) ?? 'plain'
      const input = attach(socket, request, { hub, viewer: identities.of(request), encoding })
      if (isHostServer) limitMessages(socket, request, input, options.maxPayloadBytes)
    }
  })
}

// RFC 9110 §15.5.22: a 426 names the protocol in `Upgrade`, which §7.8 requires `Connection` to list. HTTP/2 allows
// neither (RFC 9113 §8.2.2). Without `close`, Node.js would keep the connection open even if the client asks to close.
function requireUpgrade ({ raw }: FastifyRequest, reply: FastifyReply): never {
  if (raw.httpVersionMajor === 1) reply.headers({ upgrade: 'websocket', connection: 'upgrade, close' })
  throw new UpgradeRequired()
}

// Sent instead of thrown: Fastify logs thrown errors, so a flood of connections would flood the log.
function refuse (reply: FastifyReply, reason: RefusalReason): FastifyReply {
  const { statusCode, code, message } = new REFUSAL[reason]()
  if (reason !== 'origin') reply.header('retry-after', RETRY_AFTER_SECONDS)
  return reply.code(statusCode!).send({ statusCode, code, error: STATUS_CODES[statusCode!], message })
}

async function registerOwn (scope: FastifyInstance, options: WebSocketOptions): Promise<void> {
  const dispatch = new UpgradeDispatch(scope.server, addressOf(scope, options.path))
  endAfterResponse(scope)
  await scope.register(websocket, {
    options: {
      maxPayload: options.maxPayloadBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_BUFFERED_CHUNKS,
      // ws terminates a connection with more unsent pongs than this, without a close code. It is above the burst of the
      // hub's rate limit, so that the hub closes a client that floods it with pings, with a code. This limit is for a
      // client that sends pings slowly and never reads the pongs.
      maxPendingAutoPongs: options.maxMessagesPerSecond * BURST_SECONDS + 1,
      perMessageDeflate: options.compression ? DEFLATE : false,
      clientTracking: false,
      closeTimeout: CLOSE_GRACE_MS
    } as object,
    // The hub sends close frames with a code and limits their time; the default does neither.
    preClose: async () => { dispatch.close() },
    // ws replies to a broken frame with the right close code. Destroying the socket here, as the default does, could
    // drop it.
    errorHandler (err, _socket, request) {
      try {
        request.log.debug({ err }, 'websocket error')
      } catch {
        // In an event of the socket, a logger that throws would end the process. The hub has counted the error.
      }
    }
  })
  dispatch.claim()
  scope.addHook('onReady', async () => { dispatch.guard() })
}

// @fastify/websocket dispatches upgrades with the `routing` of its scope. Routes outside of the scope do not know that
// the HTTP server no longer reads from this socket, so it must end with the response.
function endAfterResponse (scope: FastifyInstance): void {
  const routing = scope.routing
  scope.routing = (request, response) => {
    response.shouldKeepAlive = false
    const socket = response.socket!
    response.once('finish', () => socket.end(() => socket.destroy()))
    routing(request, response)
  }
}

interface AttachOptions { hub: Hub, viewer: Viewer, encoding: Encoding }

// All listeners are added in the tick of the upgrade; a message that arrived earlier would be lost.
function attach (
  websocket: WebSocket, request: FastifyRequest, { hub, viewer, encoding }: AttachOptions
): SocketEvents {
  const stream = socketOf(request)
  if (stream === undefined) closeInjected(websocket)
  const writer = new WebSocketFrameWriter(websocket, stream, encoding, () => input.drained())
  const input = hub.connect(writer, request, viewer)
  websocket.on('message', (data: RawData) => input.message(data as Buffer))
  websocket.on('ping', () => input.ping())
  websocket.on('pong', () => input.pong())
  websocket.on('error', (err: { code?: string }) => input.error(CLOSE_REASONS[String(err.code)] ?? 'invalid_frame'))
  websocket.on('close', () => input.closed())
  return input
}

// The stream of `injectWS` never closes by itself, and ws would wait for that. The client first reads our close frame.
function closeInjected (websocket: WebSocket): void {
  const { _socket: stream } = websocket as unknown as { _socket: Duplex }
  stream.once('finish', () => setImmediate(() => stream.destroy()))
}

function limitMessages (websocket: WebSocket, request: FastifyRequest, input: SocketEvents, maxBytes: number): void {
  const stream = socketOf(request)
  if (stream !== undefined) {
    limitInboundFrames(stream, { maxBytes, maxFragments: MAX_FRAGMENTS }, (limit) => input.close(limit))
  }
  // If the host's server negotiated compression, only the decompressed message has the real size.
  websocket.prependListener('message', (data: RawData) => {
    if ((data as Buffer).length > maxBytes) input.close('message_too_large')
  })
}

// An injected request has no socket, or a stand-in for one with an address.
const socketOf = ({ raw: { socket } }: FastifyRequest): Socket | undefined =>
  socket instanceof Socket ? socket : undefined
