// The faults of a run. Each is over when its function returns; the service may still recover from it.
import { setTimeout as sleep } from 'node:timers/promises'
import { machineMs } from '../fanout/processes.mjs'
import { BREAKS } from './proxy.mjs'

/** The process whose clock steps. */
export const CLOCK_OF = 'b'
const CLOCK_STEPS = [['+1 day', 86_400], ['-1 hour', -3_600]]

const pickMember = ({ members, random }) => random.pick(members)

const pauseOf = async (target, ms) => {
  if (target.signal('SIGSTOP') === false) throw new Error('there is no process to pause')
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

async function failOverWithLoss ({ group, loses }, meanwhile) {
  const from = machineMs()
  await group.failOver(1_500, meanwhile).finally(() => loses(from, machineMs()))
}

// The last reports of this process exist nowhere else.
async function failOverWithKill (stage) {
  const member = pickMember(stage)
  try {
    await failOverWithLoss(stage, async () => await member.kill())
  } finally {
    if (!member.isAlive) await member.start()
  }
}

const partition = (how) => async (stage) => {
  const member = pickMember(stage)
  if (member.cut(how) === 0) throw new Error('there is no connection to cut')
  await sleep(stage.random.between(5_000, 30_000) * stage.scale)
  member.cut(undefined)
}

async function restartAll ({ members }) {
  for (const member of members) {
    await member.close()
    await member.start()
  }
}

const stepClock = (seconds) => async ({ clock, members, random, scale }) => {
  const member = members.find(({ name }) => name === CLOCK_OF)
  clock.step(seconds)
  try {
    await untilStepped(member, seconds)
    await sleep(random.between(5_000, 15_000) * scale)
  } finally {
    clock.step(0)
  }
}

// The library looks for a step once a second.
async function untilStepped (member, seconds) {
  for (let tries = 0; tries < 20; tries++) {
    await sleep(500)
    const { now } = await member.ask('time')
    if (Math.abs(now - Date.now() - seconds * 1_000) < 60_000) return
  }
  throw new Error(`the clock of a process was not stepped by ${seconds} s`)
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
    fixed('maxmemory reached', async ({ group, random, scale }) => await group.fill(random.between(3_000, 15_000) * scale)),
    fixed('Redis is read-only', async ({ group, random, scale }) =>
      await group.makeReadOnly(random.between(3_000, 15_000) * scale)),
    fixed('failover without loss', async ({ group }) => await group.failOver(0)),
    fixed('failover that loses writes', async (stage) => await failOverWithLoss(stage)),
    fixed('failover that loses writes of a killed process', failOverWithKill),
    ...BREAKS.map((how) => fixed(`partition: ${how}`, partition(how))),
    ...clock === undefined ? [] : CLOCK_STEPS.map(([name, seconds]) => fixed(`clock step ${name}`, stepClock(seconds))),
    fixed('rolling restart', restartAll)
  ]
}
