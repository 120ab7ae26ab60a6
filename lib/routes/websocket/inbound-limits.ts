import type { Duplex } from 'node:stream'

/** Limits for one message of a client. For a compressed message the compressed bytes count. */
export interface MessageLimits { maxBytes: number, maxFragments: number }

/** The limit that a message exceeds, named as in `CLOSE_CODES`. */
export type ExceededLimit = 'message_too_large' | 'too_many_fragments'

type Reader = (this: Duplex, chunk: Buffer) => void

/** Opcodes from here on are control frames, which may occur between the fragments of a message (RFC 6455 §5.5). */
const FIRST_CONTROL_OPCODE = 8

/** Two bytes, eight bytes of length and four of mask (RFC 6455 §5.2). */
const LONGEST_HEADER_BYTES = 14

/**
 * Enforces the limits on one connection of a host's WebSocket server, which may allow more. ws emits a message only
 * when all of it is in memory, so this parses the frame headers of the byte stream, which contain the length of each
 * frame. Calls `onExceeded` once. ws receives neither that chunk nor any after it, so nothing accumulates.
 */
export function limitInboundFrames (
  stream: Duplex, limits: MessageLimits, onExceeded: (limit: ExceededLimit) => void
): void {
  const frames = new FrameParser(limits)
  let isExceeded = false
  for (const reader of stream.listeners('data') as Reader[]) {
    // EventEmitter sets `listener` on its own `once` wrappers too: ws can still remove its listener.
    const read = (chunk: Buffer) => { if (!isExceeded) reader.call(stream, chunk) }
    const guarded = Object.assign(read, { listener: reader })
    stream.off('data', reader)
    stream.on('data', guarded)
  }
  // Before ws, which would create an object for every fragment in the chunk.
  stream.prependListener('data', (chunk: Buffer) => {
    if (isExceeded) return
    const exceeded = frames.parse(chunk)
    if (exceeded === undefined) return
    isExceeded = true
    onExceeded(exceeded)
  })
}

/** Parses the frame headers of a byte stream in chunks of any size. Violations of RFC 6455 are left to ws. */
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

  /** Parses the next chunk. Returns the limit that a message in it exceeds, if any. */
  parse (chunk: Buffer): ExceededLimit | undefined {
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

  // The length of the header, as far as the bytes received so far determine it.
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
