/** The principal of a client, if it has one. */
interface Asking { readonly id?: string | undefined, readonly tenant?: string | undefined }

/**
 * The owner of limits: a principal, or without one the network that the request comes from. Not a connection, because a
 * client can open any number of them. Over a Unix socket and for an injected request there is no address: such clients
 * share one owner.
 */
export function limitOwner ({ id, tenant }: Asking, request: unknown): string {
  // As JSON, so that it never equals an address.
  if (id !== undefined) return JSON.stringify([id, tenant])
  return groupAddress(String((request as { ip?: unknown } | undefined)?.ip ?? ''))
}

const IPV6 = /^[\da-f]*:[\da-f:.]*/i

/** An address as one client can choose it: an IPv4 address, or the /64 network of an IPv6 address. */
export function groupAddress (address: string): string {
  // Without the zone, as in fe80::1%eth0.
  const url = `http://[${IPV6.exec(address)?.[0]}]`
  if (!URL.canParse(url)) return address
  // In its shortest form, without dots.
  const [head, tail] = new URL(url).hostname.slice(1, -1).split('::')
  const [first, last] = [head, tail].map((part) => part ? part.split(':') : [])
  const groups = [...first!, ...Array(8 - first!.length - last!.length).fill('0'), ...last!]
  return isMappedIPv4(groups) ? readIPv4(groups.slice(6)) : `${groups.slice(0, 4).join(':')}::/64`
}

// ::ffff:192.0.2.1 is how a dual-stack socket shows an IPv4 client.
const isMappedIPv4 = (groups: readonly string[]): boolean => groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff'

const readIPv4 = (groups: readonly string[]): string =>
  groups.map((group) => parseInt(group, 16)).map((value) => `${value >> 8}.${value & 0xff}`).join('.')
