import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { runOf, startOf, stepOf } from '../lib/backplane/conformance/steps.js'
import type { LogStep } from '../lib/backplane/index.js'
import { openRedis } from './support/redis-log.js'
import { freePort, redisServer, startRedisServer } from './support/redis-server.js'
import { findProgram, onlyWith, pathOf } from './support/skip.js'

const redisSentinel = findProgram('redis-sentinel')

const turn = async () => await new Promise((resolve) => setImmediate(resolve))

/** Starts a Sentinel that watches a server, and waits until it knows a replica of it. Returns its port and a client. */
async function startSentinel (t: Test, watched: { port: number, folder: string }) {
  const port = await freePort()
  const file = join(watched.folder, 'sentinel.conf')
  await writeFile(file, [
    `port ${port}`, 'bind 127.0.0.1', `sentinel monitor main 127.0.0.1 ${watched.port} 1`, 'sentinel down-after-milliseconds main 300', 'sentinel failover-timeout main 3000'
  ].join('\n'))
  const child = spawn(pathOf(redisSentinel), [file], { stdio: 'ignore' })
  const client = new Redis(port, { maxRetriesPerRequest: null })
  client.on('error', () => {})
  t.teardown(() => {
    client.disconnect()
    child.kill('SIGKILL')
  })
  const replicas = async () => await client.call('SENTINEL', 'REPLICAS', 'main') as unknown[]
  while ((await replicas()).length === 0) await turn()
  return { port, client }
}

t.test('after Sentinel has replaced a server that hangs, processes go on with the next one', onlyWith(redisServer, redisSentinel), async (t) => {
  const stand = await openRedis(t)
  const next = await startRedisServer('--replicaof', '127.0.0.1', String(stand.server.port))
  t.teardown(async () => await next.close())
  const replica = new Redis(next.url)
  t.teardown(() => { replica.disconnect() })
  while (!(await replica.info('replication')).includes('master_link_status:up')) await turn()
  const sentinel = await startSentinel(t, stand.server)
  const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'main' })
  t.teardown(() => { client.disconnect() })
  client.on('error', () => {})
  const [a, b] = [await stand.open({ client }), await stand.open({ client })]
  await a.append(runOf('m'))
  t.match(await b.read(1_000), [{ sequence: 1 }])
  while (!(await replica.xlen(stand.key('log')))) await turn()
  stand.server.pause()
  let number = 1
  const append = async (...steps: LogStep[]) => {
    number++
    for (;;) {
      const result = await a.log.append({ number, steps }).catch(turn)
      if (typeof result === 'object' && result !== null) return result
    }
  }
  t.strictSame(await append(stepOf('m', 'completed'), startOf('n')), { outcome: 'appended', verdicts: ['applied', 'applied'] })
  stand.server.continue()
  let entries
  do entries = await b.read(1_000).catch(turn) as unknown[] | undefined; while (entries === undefined || entries.length === 0)
  t.match(entries, [{ id: 'm', sequence: 2 }, { id: 'n', sequence: 3 }])
  sentinel.client.disconnect()
  client.disconnect()
  t.match(await b.log.renew(b.position), { outcome: 'renewed', alive: [a.instance, b.instance] }, 'although the given client and Sentinel are gone')
})
