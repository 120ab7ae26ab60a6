/** What a checksum is made of: a mission that has not ended. */
export interface ChecksumEntry { missionId: string, status: string }

const encoder = new TextEncoder()

/**
 * A checksum over missions, in any order: their number, a hyphen, and in eight hexadecimal digits the sum modulo 2^32 of the FNV-1a hashes
 * (32 bits, over UTF-8) of each mission's id, a line feed and its status. A server and a client that hold the same missions get the same word.
 */
export function missionChecksum (missions: Iterable<ChecksumEntry>): string {
  let count = 0
  let sum = 0
  for (const { missionId, status } of missions) {
    count++
    sum = (sum + fnv1a(`${missionId}\n${status}`)) >>> 0
  }
  return `${count}-${sum.toString(16).padStart(8, '0')}`
}

function fnv1a (text: string): number {
  let hash = 0x811c9dc5
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}
