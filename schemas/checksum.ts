/** The part of an active mission that its checksum covers. */
export interface ChecksumEntry { missionId: string, status: string }

const encoder = new TextEncoder()

/**
 * The checksum of a set of missions, independent of their order: the number of missions, a hyphen, and the sum modulo
 * 2^32 of their hashes as eight hexadecimal digits. The hash of a mission is FNV-1a (32 bits, over UTF-8) of its id, a
 * line feed and its status. A server and a client that hold the same missions compute the same checksum.
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

/** FNV-1a with 32 bits over UTF-8. */
export function fnv1a (text: string): number {
  let hash = 0x811c9dc5
  for (const byte of encoder.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** The part of one mission in a checksum. */
export const missionHash = ({ missionId, status }: ChecksumEntry): number => fnv1a(`${missionId}\n${status}`)

/**
 * The same as `missionChecksum`, for missions whose hashes are known. Not used by it, so that the client does not
 * contain it.
 */
export function checksumOfHashes (hashes: readonly number[]): string {
  const sum = hashes.reduce((before, hash) => (before + hash) >>> 0, 0)
  return `${hashes.length}-${sum.toString(16).padStart(8, '0')}`
}
