import t from 'tap'
import { callGuarded, isPromiseLike } from '../lib/base/promises.js'
import { Queue } from '../lib/base/queue.js'

/** A queue with the entries from `first` to `last`. */
function queueOf (first: number, last: number): Queue<number> {
  const queue = new Queue<number>()
  for (let entry = first; entry <= last; entry++) queue.push(entry)
  return queue
}

t.test('a queue', async (t) => {
  t.test('returns its entries in the order they were added', async (t) => {
    const queue = queueOf(1, 3)
    t.same([queue.length, queue.first], [3, 1])
    t.same([queue.shift(), queue.shift(), queue.shift(), queue.shift()], [1, 2, 3, undefined])
    t.same([queue.length, queue.first], [0, undefined])
  })

  t.test('reads entries by index from the oldest, also after some were removed', async (t) => {
    const queue = queueOf(1, 5)
    queue.shift()
    t.same([-1, 0, 3, 4].map((index) => queue.at(index)), [undefined, 2, 5, undefined])
    t.same(queue.slice(), [2, 3, 4, 5])
    t.same(queue.slice(1, 3), [3, 4])
  })

  t.test('finds the first entry past a limit by binary search', async (t) => {
    const queue = queueOf(1, 100)
    queue.shift()
    t.equal(queue.findIndexSorted((entry) => entry > 40), 39)
    t.equal(queue.findIndexSorted(() => true), 0)
    t.equal(queue.findIndexSorted(() => false), 99)
  })

  t.test('keeps its order while it compacts, and can be cleared', async (t) => {
    const queue = queueOf(1, 5_000)
    for (let entry = 1; entry <= 4_000; entry++) {
      if (queue.shift() !== entry) t.fail(`entry ${entry} is out of order`)
    }
    queue.push(5_001)
    t.same([queue.length, queue.first, queue.at(1_000)], [1_001, 4_001, 5_001])
    queue.clear()
    t.same([queue.length, queue.first], [0, undefined])
  })
})

t.test('a thenable counts as a promise, other values do not', async (t) => {
  t.ok([Promise.resolve(), { then () {} }, Object.assign(() => {}, { then () {} })].every(isPromiseLike))
  t.notOk([null, undefined, {}, { then: 1 }, 'text', () => {}].some(isPromiseLike))
  t.notOk(isPromiseLike({ get then () { throw new Error('canary') } }), 'a getter that throws')
})

t.test('the error of a guarded call is passed on, whether it throws or rejects', async (t) => {
  const errors: unknown[] = []
  const onError = (err: unknown): void => { errors.push(err) }
  callGuarded(() => { throw new Error('thrown') }, onError)
  callGuarded(async () => { throw new Error('rejected') }, onError)
  callGuarded(() => 1, onError)
  await new Promise((resolve) => setImmediate(resolve))
  t.match(errors, [{ message: 'thrown' }, { message: 'rejected' }])
  t.equal(errors.length, 2)
})
