import { constants, deflateRawSync } from 'node:zlib'

// RFC 6455 §5.2: an unfragmented text frame; a server never masks. RSV1 marks a compressed frame (RFC 7692 §6).
const FIN_TEXT = 0x81
const RSV1 = 0x40
/** Length of the empty block at the end of a flushed deflate stream; RFC 7692 §7.2.1 removes it. */
const FLUSH_TAIL_BYTES = 4

/** Encodes a text as one frame. */
export function encodeTextFrame (text: string): Buffer {
  const bytes = Buffer.byteLength(text)
  const header = headerBytes(bytes)
  const frame = Buffer.allocUnsafe(header + bytes)
  writeHeader(frame, FIN_TEXT, bytes)
  frame.write(text, header)
  return frame
}

/** The payload of a frame created by `encodeTextFrame`; shares its memory. */
export function payloadOf (frame: Buffer): Buffer {
  const length = frame[1]!
  return frame.subarray(length < 126 ? 2 : length === 126 ? 4 : 10)
}

/**
 * Compresses the payload of a frame on its own (permessage-deflate without context takeover): every connection that
 * negotiated a window of `windowBits` (9 to 15) or more can read the result.
 */
export function deflateFrame (frame: Buffer, windowBits: number): Buffer {
  const deflated = deflateRawSync(payloadOf(frame), { windowBits, finishFlush: constants.Z_SYNC_FLUSH })
  const bytes = deflated.length - FLUSH_TAIL_BYTES
  const header = headerBytes(bytes)
  const compressed = Buffer.allocUnsafe(header + bytes)
  writeHeader(compressed, FIN_TEXT | RSV1, bytes)
  deflated.copy(compressed, header, 0, bytes)
  return compressed
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
