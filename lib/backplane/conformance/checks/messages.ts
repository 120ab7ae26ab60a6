import type { StandCheck } from '../check.js'
import { demand, demandEqual } from '../demand.js'
import type { Participant, Stand } from '../stand.js'
import { messageOf, startOf, valueOf } from '../steps.js'

const BARRIER = 'barrier'

/** Sends a message to all, and waits until these have received it. What was sent before has then arrived. */
async function passBarrier (stand: Stand, sender: Participant, ...members: readonly Participant[]): Promise<void> {
  await sender.call('send', sender.log.send(undefined, BARRIER))
  await stand.until('a message to all', () => members.every(({ messages }) => messages.includes(BARRIER)))
}

async function demandRetained (member: Participant, expected: ReadonlyArray<readonly [string, string]>): Promise<void> {
  const { retained } = await member.join()
  demandEqual([...retained].sort(), expected, 'the retained values')
}

export const MESSAGE_CHECKS: readonly StandCheck[] = [
  {
    title: 'A message to all reaches every process, the sender too',
    run: async (stand) => {
      const members = [await stand.open(), await stand.open(), await stand.open()]
      await passBarrier(stand, members[1]!, ...members)
      for (const { messages } of members) demandEqual(messages, [BARRIER], 'the messages')
    }
  },
  {
    title: 'A message to one instance reaches this one alone, also if it is the sender',
    run: async (stand) => {
      const [first, second, third] = [await stand.open(), await stand.open(), await stand.open()]
      const texts = ['"é🚀\n\u0000', '{"json":[null]}', 'x'.repeat(10_000)]
      for (const text of texts) await first.call('send', first.log.send(second.id, text))
      await first.call('send', first.log.send(first.id, 'own'))
      await first.call('send', first.log.send('nobody', 'lost'))
      await passBarrier(stand, first, first, second, third)
      demandEqual(second.messages, [...texts, BARRIER], 'the messages of the second process')
      demandEqual(first.messages, ['own', BARRIER], 'the messages of the sender')
      demandEqual(third.messages, [BARRIER], 'the messages of the third process')
    }
  },
  {
    title: 'A process whose log is closed receives no message',
    run: async (stand) => {
      const [member, closed] = [await stand.open(), await stand.open()]
      await closed.call('close', closed.log.close())
      await passBarrier(stand, member, member)
      demandEqual(closed.messages, [], 'the messages')
    }
  },
  {
    title: 'A retained value is read by processes that join later, the newest of each key',
    run: async (stand) => {
      const [member, other] = [await stand.open(), await stand.open()]
      await demandRetained(member, [])
      await member.apply(valueOf('a', '1'), valueOf('b', '"é🚀\n'))
      const retain = { key: 'c', value: 'x'.repeat(65_536) }
      await other.apply(valueOf('a', '2'), messageOf('health_delta', 'h', { retain }))
      await demandRetained(await stand.open(), [['a', '2'], ['b', '"é🚀\n'], ['c', retain.value]])
    }
  },
  {
    title: 'An entry has the value that it retains, and without a message it takes no offset',
    run: async (stand) => {
      const member = await stand.open()
      await member.apply(valueOf('a', '1'), startOf('m'))
      const [entry] = await member.entries()
      const { isReliable, ...step } = valueOf('a', '1')
      demandEqual(entry, { ...step, sequence: 1, offset: 0, tenantOffset: 0 }, 'the entry')
    }
  },
  {
    title: 'At most 64 values are retained, and none that is too long',
    run: async (stand) => {
      const member = await stand.open()
      for (let at = 0; at < 70; at++) await member.apply(valueOf(`key ${at}`, 'x'))
      await member.append(valueOf('k'.repeat(65), 'x'), valueOf('long', 'x'.repeat(65_537)))
      stand.warnings.length = 0
      const { retained } = await member.join()
      demandEqual(retained.length, 64, 'the number of retained values')
      const broken = retained.filter(([key, value]) => !/^key \d+$/.test(key) || value !== 'x').map(([key]) => key)
      demand(broken.length === 0, `a value that is too long is retained under ${JSON.stringify(broken)}`)
    }
  }
]
