import type { Duplex } from 'node:stream'

/** What one message of a client may be at most; of a compressed one, its compressed bytes count. */
export interface MessageLimits { maxBytes: number, maxFragments: number }

/** Which limit a message breaks; the names are those of the close codes. */
export type ExceededLimit = 'message_too_large' | 'too_many_fragments'

type Reader = (this: Duplex, chunk: Buffer) => void

/** Opcodes from here on are control frames: they may come in the middle of a message and are none of it (RFC 6455 §5.5). */
const FIRST_CONTROL_OPCODE = 8

/** Two bytes, eight of length and four of mask (RFC 6455 §5.2). */
const LONGEST_HEADER_BYTES = 14

/**
 * Holds one connection to our limits where the WebSocket server is the host's and allows more. ws tells of a message only when it has all
 * of it in memory, so this follows the frames in the byte stream beside it, and knows how long a frame is when it begins.
 * Calls `onExceeded` once; ws sees neither that chunk nor any after it, so that nothing piles up.
 */
export function limitInboundFrames (stream: Duplex, limits: MessageLimits, onExceeded: (limit: ExceededLimit) => void): void {
  const frames = new FrameParser(limits)
  let isExceeded = false
  for (const reader of stream.listeners('data') as Reader[]) {
    // `listener` on a wrapper is what EventEmitter itself sets for `once`: ws still finds its own listener to take it off.
    const guarded = Object.assign((chunk: Buffer) => { if (!isExceeded) reader.call(stream, chunk) }, { listener: reader })
    stream.off('data', reader)
    stream.on('data', guarded)
  }
  // In front of ws, which would make an object of every fragment in the chunk.
  stream.prependListener('data', (chunk: Buffer) => {
    if (isExceeded) return
    const exceeded = frames.follow(chunk)
    if (exceeded === undefined) return
    isExceeded = true
    onExceeded(exceeded)
  })
}

/** Follows the frames of a client through its bytes, whatever chunks they come in. What breaks RFC 6455 is left to ws to refuse. */
export class FrameParser {
  readonly #limits: MessageLimits
  readonly #header = Buffer.alloc(LONGEST_HEADER_BYTES)
  #headerBytes = 0
  #payloadBytesLeft = 0
  #messageBytes = 0
  #fragments = 0

  constructor (limits: MessageLimits) {
    this.#limits = limits
  }

  /** Takes the next bytes; the answer is the limit that a message in them breaks, if one does. */
  follow (chunk: Buffer): ExceededLimit | undefined {
    for (let at = 0; at < chunk.length;) {
      if (this.#payloadBytesLeft > 0) {
        const skipped = Math.min(this.#payloadBytesLeft, chunk.length - at)
        this.#payloadBytesLeft -= skipped
        at += skipped
        continue
      }
      this.#header[this.#headerBytes++] = chunk[at++]!
      if (this.#headerBytes < this.#headerLength) continue
      const exceeded = this.#beginFrame()
      if (exceeded !== undefined) return exceeded
    }
    return undefined
  }

  // How long the header is, as far as its bytes tell so far.
  get #headerLength (): number {
    if (this.#headerBytes < 2) return 2
    const isMasked = (this.#header[1]! & 0x80) !== 0
    return 2 + lengthBytes(this.#header[1]! & 0x7f) + (isMasked ? 4 : 0)
  }

  #beginFrame (): ExceededLimit | undefined {
    const [first, second] = [this.#header[0]!, this.#header[1]!]
    const length = readLength(this.#header, second & 0x7f)
    this.#headerBytes = 0
    this.#payloadBytesLeft = length
    if ((first & 0x0f) >= FIRST_CONTROL_OPCODE) return undefined
    this.#messageBytes += length
    this.#fragments++
    if (this.#messageBytes > this.#limits.maxBytes) return 'message_too_large'
    if (this.#fragments > this.#limits.maxFragments) return 'too_many_fragments'
    const isLast = (first & 0x80) !== 0
    if (isLast) this.#messageBytes = this.#fragments = 0
    return undefined
  }
}

const lengthBytes = (short: number): number => short === 127 ? 8 : short === 126 ? 2 : 0

function readLength (header: Buffer, short: number): number {
  if (short === 127) return Number(header.readBigUInt64BE(2))
  return short === 126 ? header.readUInt16BE(2) : short
}
