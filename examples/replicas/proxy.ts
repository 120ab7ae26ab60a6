import { connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy that passes each connection to the next port that accepts it. Use a load balancer in production. */
export function createProxy (ports: () => readonly number[]): Server {
  let turn = 0
  return createServer((client) => {
    client.on('error', () => client.destroy())
    const candidates = rotate(ports(), turn++)
    forward(client, candidates)
  })
}

const rotate = (ports: readonly number[], by: number): number[] => {
  const first = by % Math.max(1, ports.length)
  return [...ports.slice(first), ...ports.slice(0, first)]
}

function forward (client: Socket, [port, ...others]: readonly number[]): void {
  if (port === undefined) {
    client.destroy()
    return
  }
  const server = connect(port, '127.0.0.1')
  const isRefused = (): void => {
    server.destroy()
    forward(client, others)
  }
  server.once('error', isRefused)
  server.once('connect', () => {
    server.off('error', isRefused)
    for (const [from, to] of [[client, server], [server, client]] as const) {
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.pipe(to)
    }
  })
}
