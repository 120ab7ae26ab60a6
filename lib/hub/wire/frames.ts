import { constants, deflateRawSync } from 'node:zlib'

// RFC 6455 §5.2: an unfragmented text frame; a server never masks. RSV1 marks a compressed frame (RFC 7692 §6).
const FIN_TEXT = 0x81
const RSV1 = 0x40
/** Length of the empty block at the end of a flushed deflate stream; RFC 7692 §7.2.1 removes it. */
const FLUSH_TAIL_BYTES = 4
/** RFC 1951 §3.2.4: the type of the block, its length, and the complement of the length. */
const STORED_HEADER_BYTES = 5

/** Encodes a text as one frame; `rest` is the end of the text if it is encoded already. */
export function encodeTextFrame (text: string, rest?: Buffer): Buffer {
  const textBytes = Buffer.byteLength(text)
  const bytes = textBytes + (rest?.length ?? 0)
  const header = headerBytes(bytes)
  const frame = Buffer.allocUnsafe(header + bytes)
  writeHeader(frame, FIN_TEXT, bytes)
  frame.write(text, header)
  rest?.copy(frame, header + textBytes)
  return frame
}

/** The payload of a frame created by `encodeTextFrame`; shares its memory. */
export function payloadOf (frame: Buffer): Buffer {
  const length = frame[1]!
  return frame.subarray(length < 126 ? 2 : length === 126 ? 4 : 10)
}

/**
 * Compresses bytes on their own (permessage-deflate without context takeover): every connection that negotiated a
 * window of `windowBits` (9 to 15) or more can read the result. Results can be joined, also with stored blocks.
 */
export function deflate (bytes: Buffer, windowBits: number): Buffer {
  const deflated = deflateRawSync(bytes, { windowBits, finishFlush: constants.Z_SYNC_FLUSH })
  return deflated.subarray(0, -FLUSH_TAIL_BYTES)
}

/** Bytes as part of a compressed message without being compressed; at most 65,535. */
export function storedBlock (bytes: Buffer): Buffer {
  const block = Buffer.allocUnsafe(STORED_HEADER_BYTES + bytes.length)
  block[0] = 0
  block.writeUInt16LE(bytes.length, 1)
  block.writeUInt16LE(~bytes.length & 0xffff, 3)
  bytes.copy(block, STORED_HEADER_BYTES)
  return block
}

/** The frame of a compressed message. */
export function encodeDeflatedFrame (...parts: Buffer[]): Buffer {
  const bytes = parts.reduce((sum, { length }) => sum + length, 0)
  let at = headerBytes(bytes)
  const frame = Buffer.allocUnsafe(at + bytes)
  writeHeader(frame, FIN_TEXT | RSV1, bytes)
  for (const part of parts) at += part.copy(frame, at)
  return frame
}

const headerBytes = (bytes: number): number => bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10

function writeHeader (frame: Buffer, first: number, bytes: number): void {
  frame[0] = first
  if (bytes < 126) {
    frame[1] = bytes
  } else if (bytes < 65_536) {
    frame[1] = 126
    frame.writeUInt16BE(bytes, 2)
  } else {
    frame[1] = 127
    frame.writeUIntBE(0, 2, 2)
    frame.writeUIntBE(bytes, 4, 6)
  }
}
