import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { RawData, WebSocket, WebSocketServer } from 'ws'
import type { CloseReason } from '../../../schemas/messages/close-codes.js'
import type { ResolvedOptions } from '../../../schemas/options.js'
import type { Viewer } from '../../access/viewer.js'
import { CLOSE_GRACE_MS } from '../../hub/connections/connection.js'
import type { Hub } from '../../hub/hub.js'
import type { SocketEvents } from '../../hub/socket-events.js'
import { BURST_SECONDS } from '../../hub/connections/token-bucket.js'
import type { Encoding } from '../../hub/wire/message.js'
import { WebSocketFrameWriter } from './frame-writer.js'
import { NegotiatedCompression } from './compression.js'
import { addressOf, socketOf, WEBSOCKET_ROUTE } from '../own-route.js'
import type { Identities } from '../identify.js'
import { requireUpgrade } from './guard.js'
import { limitInboundFrames } from './inbound-limits.js'
import type { PendingUpgrades } from './pending-upgrades.js'
import { refuse } from './refusal.js'
import { UpgradeDispatch } from './upgrade.js'

/** Limits for incoming messages that ws enforces; without them unfinished fragments would accumulate in memory. */
const MAX_FRAGMENTS = 256
const MAX_BUFFERED_CHUNKS = 4_096

/** No context takeover in either direction, so that no connection keeps a compression state. */
const DEFLATE = { serverNoContextTakeover: true, clientNoContextTakeover: true }

/** Close reasons by the code of the error with which ws closes a connection; any other code means a broken frame. */
const CLOSE_REASONS: Record<string, CloseReason> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'message_too_large',
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 'message_too_large',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'too_many_fragments',
  WS_ERR_INVALID_UTF8: 'invalid_utf8'
}

/** The subprotocol in front of a token. */
const MARKER = 'bearer'

type WebSocketOptions = ResolvedOptions['websocket']

export interface WebSocketRouteDeps {
  hub: Hub
  identities: Identities
  upgrades: PendingUpgrades
  /** Whether the WebSocket server belongs to the host and has limits of its own. */
  isHostServer: boolean
  options: WebSocketOptions
}

/**
 * Adds WebSocket support to the scope: the host's @fastify/websocket if it is registered, otherwise one for this scope
 * only, so that the host can still register its own later.
 */
export async function provideWebSocket (
  scope: FastifyInstance, options: WebSocketOptions
): Promise<{ isHostServer: boolean }> {
  const isHostServer = scope.hasDecorator('websocketServer')
  if (!isHostServer) await registerOwn(scope, options)
  return { isHostServer }
}

/** The WebSocket route: connects each socket to the hub. */
export function mountWebSocket (scope: FastifyInstance, deps: WebSocketRouteDeps): void {
  const { hub, upgrades, isHostServer, identities, options } = deps
  const negotiated = options.compression ? new NegotiatedCompression(scope.websocketServer) : undefined
  selectSubprotocols(scope.websocketServer, upgrades)
  scope.route({
    method: 'GET',
    url: options.path,
    exposeHeadRoute: false,
    config: WEBSOCKET_ROUTE as object,
    schema: { hide: true } as object,
    // This is the last hook before the handler, and with a callback instead of a promise the upgrade follows
    // synchronously.
    preHandler (request, reply, done) {
      if (upgrades.isOver(request.raw)) {
        reply.hijack()
      } else if (request.ws && hub.isClosing) {
        refuse(reply, hub.refuse('closing'))
      } else {
        upgrades.passed(request.raw)
        done()
      }
    },
    handler: async (request, reply) => requireUpgrade(request, reply),
    wsHandler (socket, request) {
      // On close, the library would close these clients without a code before the hub can send its close frames.
      scope.websocketServer.clients?.delete(socket)
      upgrades.connected(request.raw)
      const encoding = negotiated?.of(request.raw) ?? 'plain'
      const input = attach(socket, request, { hub, viewer: identities.of(request), encoding })
      if (isHostServer) limitMessages(socket, request, input, options.maxPayloadBytes)
    }
  })
}

/**
 * Makes ws answer our upgrades with the subprotocol `bearer` or none. By default, ws selects the first one that the
 * client offers, which can be a token. Other routes of the host, and its own `handleProtocols`, stay as they are.
 */
function selectSubprotocols ({ options }: WebSocketServer, upgrades: PendingUpgrades): void {
  options.handleProtocols ??= (offered, request) => {
    if (!upgrades.has(request)) return [...offered][0]!
    return offered.has(MARKER) && MARKER
  }
}

async function registerOwn (scope: FastifyInstance, options: WebSocketOptions): Promise<void> {
  const dispatch = new UpgradeDispatch(scope.server, addressOf(scope, options.path))
  endAfterResponse(scope)
  await scope.register(websocket, {
    options: {
      maxPayload: options.maxPayloadBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_BUFFERED_CHUNKS,
      // ws terminates a connection with more unsent pongs than this, without a close code. The limit is above the burst
      // of the hub's rate limit, so the hub closes a client that sends too many pings, with a close code. This limit is
      // for a client that sends pings slowly and never reads the pongs.
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
  const stream = socketOf(request.raw)
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
  const stream = socketOf(request.raw)
  if (stream !== undefined) {
    limitInboundFrames(stream, { maxBytes, maxFragments: MAX_FRAGMENTS }, (limit) => input.close(limit))
  }
  // If the host's server negotiated compression, only the decompressed message has the real size.
  websocket.prependListener('message', (data: RawData) => {
    if ((data as Buffer).length > maxBytes) input.close('message_too_large')
  })
}
