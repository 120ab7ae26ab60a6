import { once } from 'node:events'
import { connect } from 'node:net'
import { InputError, readWholeNumber } from './flags.js'

export interface Redis { host: string, port: number, url: string }

/**
 * The Redis server on 127.0.0.1, on the port in `REDIS_PORT` or 6379. Fails early without one, because clients would
 * wait for it silently.
 *
 * @throws InputError
 */
export async function findRedis (): Promise<Redis> {
  const host = '127.0.0.1'
  const port = readWholeNumber('REDIS_PORT', process.env['REDIS_PORT'] ?? '6379', 1, 65_535)
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
  } catch {
    throw new InputError(`There is no Redis server on ${host}:${port}. Start redis-server, or set REDIS_PORT.`)
  } finally {
    socket.destroy()
  }
  return { host, port, url: `redis://${host}:${port}` }
}
