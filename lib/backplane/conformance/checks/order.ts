import type { LogEntry } from '../../contract.js'
import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import { positionAfter, type Participant } from '../stand.js'
import { messageOf, startOf, stepOf } from '../steps.js'

const BATCHES = 40

async function appendMany (member: Participant): Promise<void> {
  for (let at = 0; at < BATCHES; at++) {
    await member.apply(startOf(`${member.id}-${at}`), stepOf(`${member.id}-${at}`, 'completed'))
  }
}

const sequencesOf = (entries: readonly LogEntry[]): number[] => entries.map(({ sequence }) => sequence)

const countFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, at) => first + at)

export const ORDER_CHECKS: readonly StandCheck[] = [
  {
    title: 'The position of an empty log has a random epoch, the sequence 0 and an empty token',
    run: async (stand) => {
      const member = stand.connect()
      const { position } = await member.join()
      demand(position.epoch.length >= 8, `the epoch ${JSON.stringify(position.epoch)} is too short to be random`)
      demandEqual([position.sequence, position.token], [0, ''], 'the sequence and the token')
      demandEqual(await member.read(), { outcome: 'batches', batches: [] }, 'the result of read')
    }
  },
  {
    title: 'All processes read the same batches in the same order, with contiguous sequences from 1',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open(), await stand.open()]
      await Promise.all(members.map(appendMany))
      const [first, ...others] = await Promise.all(members.map(async (member) => await member.readOn()))
      for (const batches of others) demandEqual(batches, first, 'the batches that another process reads')
      const sequences = sequencesOf(first!.flatMap(({ entries }) => entries))
      demandEqual(sequences, countFrom(1, members.length * BATCHES * 2), 'the sequences')
      for (const { id } of members) {
        const numbers = first!.filter(({ instance }) => instance === id).map(({ number }) => number)
        demandEqual(numbers, countFrom(1, BATCHES), `the numbers of the batches of ${id}`)
      }
    }
  },
  {
    title: 'Each batch names the position before it, and its token is unique',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open()]
      const { epoch } = members[0]!.position
      await Promise.all(members.map(appendMany))
      let before = { epoch, sequence: 0, token: '' }
      const tokens = new Set([''])
      for (const batch of await members[0]!.readOn()) {
        demandEqual([batch.epoch, batch.after, batch.previous], [epoch, before.sequence, before.token], 'what precedes')
        demand(!tokens.has(batch.token), `the token ${JSON.stringify(batch.token)} is empty or not unique`)
        tokens.add(batch.token)
        before = positionAfter(batch)
      }
      demandEqual((await members[1]!.join()).position, before, 'the position on join')
    }
  },
  {
    title: 'The applied steps of a batch stay together in their order, and refused ones leave nothing',
    run: async (stand) => {
      const member = await stand.open()
      const steps = [startOf('a'), startOf('a'), messageOf('health_delta', 'h'), stepOf('a', 'planned'), startOf('b')]
      const verdicts = await member.append(...steps)
      demandEqual(verdicts, ['applied', 'repeated', 'applied', 'backward', 'applied'], 'the verdicts')
      const batches = await member.readOn()
      const ids = batches.map(({ entries }) => entries.map(({ messageId }) => messageId))
      demandEqual(ids, [['a execution_started', 'h', 'b execution_started']], 'the messages of the batches')
      demandEqual(sequencesOf(batches[0]!.entries), [1, 2, 3], 'the sequences')
    }
  },
  {
    title: 'A batch without steps, or without a step that is applied, adds nothing to the log',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(startOf('a'))
      const { position } = await member.join()
      demandEqual(await member.append(), [], 'the verdicts about no steps')
      demandEqual(await member.append(startOf('a'), startOf('a')), ['repeated', 'repeated'], 'the verdicts')
      demandEqual((await member.join()).position, position, 'the position')
      demandEqual(await member.readOn(), [], 'the batches after it')
    }
  },
  {
    title: 'A batch has the time at which it was appended, in ms since 1970',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(startOf('a'))
      const [batch] = await member.readOn()
      const { at } = batch!
      const isPresent = Math.abs(at - stand.clock.now()) < 86_400_000
      demand(Number.isInteger(at) && isPresent, `the time is ${at}, which is not the present`)
    }
  },
  {
    title: 'A batch of 2,000 steps is appended as a whole',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await member.apply(...countFrom(1, 2_000).map((at) => startOf(`m${at}`)))
      const batches = await other.readOn()
      demandEqual(batches.map(({ entries }) => entries.length), [2_000], 'the lengths of the batches')
    }
  }
]
