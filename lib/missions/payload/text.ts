import { StringDecoder } from 'node:string_decoder'

/** Ends a text that was cut. */
const ELLIPSIS = '…'

/** The first `max` UTF-16 units of a longer text, or one fewer where a surrogate pair would be split. */
export function cutCharacters (text: string, max: number): string {
  const isHalf = /[\ud800-\udbff]/.test(text[max - 1]!)
  return text.slice(0, isHalf ? max - 1 : max)
}

/** `text`, or its beginning that ends in `…`: at most `max` UTF-16 units, and no surrogate pair is split. */
export function cutVisibly (text: string, max: number): string {
  return text.length <= max ? text : cutCharacters(text, max - ELLIPSIS.length) + ELLIPSIS
}

/** `text`, or its beginning that ends in `…`: at most `maxBytes` of UTF-8, cut between characters. */
export function cutBytesVisibly (text: string, maxBytes: number): string {
  // One UTF-16 unit takes at most three bytes of UTF-8, so most texts need no counting.
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text
  const beginning = Buffer.from(text).subarray(0, maxBytes - Buffer.byteLength(ELLIPSIS))
  return new StringDecoder('utf8').write(beginning) + ELLIPSIS
}
