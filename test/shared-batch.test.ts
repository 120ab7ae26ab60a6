import fc from 'fast-check'
import t from 'tap'
import type { Writable } from '../lib/hub/delivery/batch.js'
import { HubMetrics } from '../lib/hub/metrics.js'
import { Message } from '../lib/hub/wire/message.js'
import { Outbox, type OutboxDeps } from '../lib/hub/delivery/outbox.js'
import { FlushScheduler } from '../lib/hub/delivery/flush-scheduler.js'

/** Some connections of which each notes what is written to it, and what it should have been. */
class Travel {
  readonly scheduler = new FlushScheduler(() => {})
  readonly members = new Set<{ outbox: Outbox, batches: Writable[], due: Message[] }>()
  readonly left: Array<{ outbox: Outbox, batches: Writable[], due: Message[] }> = []

  constructor (count: number) {
    for (let at = 0; at < count; at++) this.join()
  }

  join () {
    const batches: Writable[] = []
    const writer: OutboxDeps['writer'] = {
      bufferedBytes: 0,
      write: (batch) => batches.push(batch),
      writeAll: () => 0
    }
    const metrics = new HubMetrics({ refused: [], closed: [], protocolErrors: [] })
    const shared = { scheduler: this.scheduler, metrics } as unknown as OutboxDeps['shared']
    const member = { outbox: new Outbox({ writer, shared, subscriptions: new Map(), maxBytes: 1_000_000, onOverflow: () => {} }), batches, due: [] }
    this.members.add(member)
    return member
  }

  say (): void {
    const message = new Message('"all"')
    for (const { due } of this.members) due.push(message)
    this.scheduler.send(message, this.members)
  }

  tell (at: number): void {
    const message = new Message('"one"')
    const member = this.at(at)
    member?.due.push(message)
    member?.outbox.send(message)
  }

  leave (at: number, end?: 'close' | 'finish'): void {
    const member = this.at(at)
    if (member === undefined) return
    this.members.delete(member)
    this.left.push(member)
    if (end === undefined) return member.outbox.dropChannel('mission_update')
    if (end === 'finish') member.outbox.flushAll()
    else member.due.splice(member.batches.reduce((sum, { count }) => sum + count, 0))
    member.outbox.close()
  }

  at (at: number) {
    return [...this.members][at % this.members.size]
  }
}

t.test('those who get the same in a tick share one buffer, however many messages it is; who gets something of its own has all of it in order', async (t) => {
  const stand = new Travel(4)
  stand.say()
  stand.tell(3)
  stand.say()
  stand.scheduler.flush()
  const buffers = [...stand.members].map(({ batches }) => batches[0]!.encoded('plain'))
  t.equal(buffers[0], buffers[1])
  t.equal(buffers[0], buffers[2])
  t.not(buffers[0], buffers[3])
  t.strictSame([...stand.members].map(({ batches, due }) => batches.length === 1 && batches[0]!.messages().every((message, at) => message === due[at])), [true, true, true, true])
})

t.test('whoever comes, goes, closes or gets something of its own in any tick, each gets all that was sent to it, once and in order', async () => {
  const move = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'say' as const, at: 0 }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('tell' as const, 'leave' as const, 'close' as const, 'finish' as const), at: fc.nat(9) }) },
    { weight: 3, arbitrary: fc.constantFrom({ kind: 'join' as const, at: 0 }, { kind: 'end' as const, at: 0 }) }
  )
  fc.assert(fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
    const stand = new Travel(3)
    for (const { kind, at } of moves) {
      if (kind === 'say') stand.say()
      else if (kind === 'tell') stand.tell(at)
      else if (kind === 'join') stand.join()
      else if (kind === 'end') stand.scheduler.flush()
      else stand.leave(at, kind === 'leave' ? undefined : kind)
    }
    stand.scheduler.flush()
    for (const { batches, due } of [...stand.members, ...stand.left]) {
      const got = batches.flatMap((batch) => batch.messages())
      if (got.length !== due.length || got.some((message, at) => message !== due[at])) return false
    }
    return true
  }), { numRuns: 2_000 })
})
