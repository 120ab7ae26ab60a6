import fc from 'fast-check'
import t from 'tap'
import type { Writable } from '../lib/hub/delivery/batch.js'
import type { Outbox } from '../lib/hub/delivery/outbox.js'
import { Message } from '../lib/hub/wire/message.js'
import { OutboxStand } from './support/outbox-stand.js'

/** A connection: the batches that were written to it, and the messages that it must have received. */
interface Member { outbox: Outbox, batches: Writable[], expected: Message[] }

/** Connections that receive the same broadcasts; each records what is written to it. */
class Audience {
  readonly stand = new OutboxStand()
  readonly members = new Set<Member>()
  readonly former: Member[] = []

  constructor (count: number) {
    for (let at = 0; at < count; at++) this.join()
  }

  join (): void {
    const batches: Writable[] = []
    const outbox = this.stand.open({
      writer: { bufferedBytes: 0, write: (batch) => batches.push(batch), writeAll: () => 0 }
    })
    this.members.add({ outbox, batches, expected: [] })
  }

  broadcast (): void {
    const message = new Message('"all"')
    for (const { expected } of this.members) expected.push(message)
    this.stand.scheduler.send(message, this.members)
  }

  sendTo (at: number): void {
    const message = new Message('"one"')
    const member = this.#member(at)
    member?.expected.push(message)
    member?.outbox.send(message)
  }

  leave (at: number, how: 'unsubscribe' | 'close' | 'flush and close'): void {
    const member = this.#member(at)
    if (member === undefined) return
    this.members.delete(member)
    this.former.push(member)
    if (how === 'unsubscribe') return member.outbox.dropChannel('mission_update')
    if (how === 'flush and close') member.outbox.flushAll()
    else member.expected.splice(member.batches.reduce((sum, { count }) => sum + count, 0))
    member.outbox.close()
  }

  #member (at: number): Member | undefined {
    return [...this.members][at % this.members.size]
  }
}

const hasExpected = ({ batches, expected }: Member): boolean => {
  const received = batches.flatMap((batch) => batch.messages())
  return received.length === expected.length && received.every((message, at) => message === expected[at])
}

t.test('connections that receive the same messages in a tick share one buffer; one with a message of its own receives all of them in order', async (t) => {
  const audience = new Audience(4)
  audience.broadcast()
  audience.sendTo(3)
  audience.broadcast()
  audience.stand.scheduler.flush()
  const members = [...audience.members]
  const buffers = members.map(({ batches }) => batches[0]!.encoded('plain'))
  t.equal(buffers[0], buffers[1])
  t.equal(buffers[0], buffers[2])
  t.not(buffers[0], buffers[3])
  t.strictSame(members.map((member) => member.batches.length === 1 && hasExpected(member)), [true, true, true, true])
})

t.test('every connection receives all its messages once and in order, whenever connections join, leave, close or receive messages of their own', async () => {
  const move = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'broadcast' as const, at: 0 }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('send' as const, 'unsubscribe' as const, 'close' as const, 'flush and close' as const), at: fc.nat(9) }) },
    { weight: 3, arbitrary: fc.constantFrom({ kind: 'join' as const, at: 0 }, { kind: 'tick' as const, at: 0 }) }
  )
  fc.assert(fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
    const audience = new Audience(3)
    for (const { kind, at } of moves) {
      if (kind === 'broadcast') audience.broadcast()
      else if (kind === 'send') audience.sendTo(at)
      else if (kind === 'join') audience.join()
      else if (kind === 'tick') audience.stand.scheduler.flush()
      else audience.leave(at, kind)
    }
    audience.stand.scheduler.flush()
    return [...audience.members, ...audience.former].every(hasExpected)
  }), { numRuns: 2_000 })
})
