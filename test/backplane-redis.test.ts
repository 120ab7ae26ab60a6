import { Redis } from 'ioredis'
import t from 'tap'
import { backplaneConformance } from '../lib/backplane/index.js'
import type { Backplane } from '../lib/backplane/index.js'
import { RedisLog } from '../lib/backplane/redis/redis-log.js'
import { resolveRedisOptions } from '../lib/backplane/redis/options.js'
import { redisServer, startRedisServer } from './support/redis-server.js'
import { onlyWith } from './support/skip.js'

/** A backplane with a lease that is shorter than a host may ask for, so that tests are quick. */
function quickBackplane (client: string, namespace: string, leaseMs: number): Backplane {
  const options = { ...resolveRedisOptions({ client, namespace }), leaseMs }
  return { leaseMs, connect: (context) => new RedisLog(options, context) }
}

t.test('the Redis backplane keeps the contract', onlyWith(redisServer), async (t) => {
  const server = await startRedisServer()
  t.teardown(async () => await server.close())
  const client = new Redis(server.url)
  t.teardown(() => { client.disconnect() })
  let count = 0
  const checks = backplaneConformance({
    createBackplane: () => quickBackplane(server.url, `contract-${++count}`, 1_000),
    trimmedAfter: 8_192
  })
  for (const { title, run } of checks) await t.resolves(run(), title)
})
