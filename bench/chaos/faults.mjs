// The faults of a run. Each is over when its function returns; the service may still recover from it.
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'
import { BREAKS } from './proxy.mjs'

const pickMember = ({ members, random }) => random.pick(members)

const pauseOf = async (target, ms) => {
  target.signal('SIGSTOP')
  await sleep(ms)
  target.signal('SIGCONT')
}

async function killMember (stage) {
  const member = pickMember(stage)
  await member.kill()
  await sleep(stage.random.between(500, 3_000))
  await member.start()
}

const killRedis = (fsync) => async (stage) => {
  const { group, random, loses } = stage
  if (fsync !== 'none') await group.tell('config', 'set', 'appendfsync', fsync)
  await sleep(500)
  if (fsync === 'none') loses(0, machineMs())
  await group.kill(random.between(500, 5_000) * stage.scale)
}

async function failOverWithLoss ({ group, loses }) {
  const from = machineMs()
  await group.failOver(1_500)
  loses(from, machineMs())
}

const partition = (how) => async (stage) => {
  const member = pickMember(stage)
  member.cut(how)
  await sleep(stage.random.between(5_000, 30_000) * stage.scale)
  member.cut(undefined)
}

async function restartAll ({ members }) {
  for (const member of members) {
    await member.close()
    await member.start()
  }
}

const stepClock = (offset) => async ({ clock, random, scale }) => {
  clock.step(offset)
  await sleep(random.between(5_000, 15_000) * scale)
  clock.step('+0')
}

const pauses = (name, target) => [0, 1, 2].map((at) => ({
  name: ({ pauseMs }) => `SIGSTOP of ${name} for ${pauseMs[at] / 1_000} s`,
  run: async (stage) => await pauseOf(target(stage), stage.pauseMs[at])
}))

const fixed = (name, run) => ({ name: () => name, run })

/** The faults for a kind of persistence; those of the clock only if it can be changed. */
export function faultsFor ({ fsync, clock }) {
  const kills = fsync === 'none' ? ['none'] : ['always', 'everysec']
  return [
    fixed('kill -9 of a process', killMember),
    ...pauses('a process', pickMember),
    ...pauses('Redis', ({ group }) => group.primary),
    ...pauses('half of the clients', ({ clients, random }) => random.pick(clients)),
    ...kills.map((kind) => fixed(`kill -9 of Redis, appendfsync ${kind}`, killRedis(kind))),
    fixed('CLIENT KILL', async ({ group }) => {
      for (const type of ['normal', 'pubsub']) await group.tell('client', 'kill', 'type', type)
    }),
    fixed('DEBUG SLEEP', async ({ group, scale }) => await group.tell('debug', 'sleep', String(10 * scale))),
    fixed('maxmemory reached', async ({ group, random, scale }) => {
      await group.tell('config', 'set', 'maxmemory', '1')
      await sleep(random.between(3_000, 15_000) * scale)
      await group.tell('config', 'set', 'maxmemory', '0')
    }),
    fixed('Redis is read-only', async ({ group, random, scale }) =>
      await group.makeReadOnly(random.between(3_000, 15_000) * scale)),
    fixed('failover without loss', async ({ group }) => await group.failOver(0)),
    fixed('failover that loses writes', failOverWithLoss),
    ...BREAKS.map((how) => fixed(`partition: ${how}`, partition(how))),
    ...clock === undefined ? [] : ['+1d', '-1h'].map((offset) => fixed(`clock step ${offset}`, stepClock(offset))),
    fixed('rolling restart', restartAll)
  ]
}
