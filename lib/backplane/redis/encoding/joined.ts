import type { Instance, Joined, StoredCounts, StoredHead } from '../../contract.js'

/** The fields and values of a hash, one after the other. */
export type FlatHash = readonly string[]

/** What the script `JOIN` returns after its first value. */
export type JoinReply = readonly [
  epoch: string, sequence: string, token: string, secret: string, counts: FlatHash, heads: FlatHash, retained: FlatHash
]

/** Decodes the reply of `JOIN`. */
export function decodeJoined ([epoch, sequence, token, secret, counts, heads, retained]: JoinReply): Joined {
  return {
    position: { epoch, sequence: Number(sequence), token },
    counts: pairsOf(counts).map(toCounts),
    heads: pairsOf(heads).map(toHead),
    retained: pairsOf(retained),
    secret
  }
}

/** The instances of the hash `services`, in the order in which they joined. */
export function decodeInstances (services: FlatHash): Instance[] {
  const list = pairsOf(services).map(([id, text]) => {
    const [order = '', ...service] = text.split(' ')
    return { order: Number(order), id, service: service.join(' ') }
  })
  list.sort((a, b) => a.order - b.order)
  return list.map(({ id, service }) => ({ id, service }))
}

function pairsOf (flat: FlatHash): Array<[string, string]> {
  const pairs: Array<[string, string]> = []
  for (let at = 0; at + 1 < flat.length; at += 2) pairs.push([flat[at]!, flat[at + 1]!])
  return pairs
}

function toCounts ([field, text]: [string, string]): StoredCounts {
  const [active = 0, completed = 0, cancelled = 0, errors = 0, durationSumMs = 0] = text.split(' ').map(Number)
  return { tenant: field === '*' ? null : field.slice(1), active, completed, cancelled, errors, durationSumMs }
}

function toHead ([field, text]: [string, string]): StoredHead {
  const end = field.indexOf('\0')
  const [offset = '', ...messageId] = text.split(' ')
  return {
    channel: end < 0 ? field : field.slice(0, end),
    tenant: end < 0 ? null : field.slice(end + 1),
    offset: Number(offset),
    messageId: messageId.join(' ')
  }
}
