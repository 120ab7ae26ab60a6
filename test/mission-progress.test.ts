import fc from 'fast-check'
import t from 'tap'
import { cutVisibly, taskIdOf } from '../lib/missions/input/text.js'

/** Whether `text` has no half of a surrogate pair. */
const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

t.test('text that is cut', async (t) => {
  t.test('is kept whole up to its limit, and ends visibly beyond it', async (t) => {
    t.equal(cutVisibly('abcd', 4), 'abcd')
    t.equal(cutVisibly('abcde', 4), 'abc…')
    t.equal(cutVisibly('ab😀de', 4), 'ab…', 'a surrogate pair is not split')
    t.equal(cutVisibly('a😀bcd', 4), 'a😀…')
  })

  t.test('never exceeds its limit, and never gains half a character', async () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), fc.integer({ min: 1, max: 20 }), (text, max) => {
      const cut = cutVisibly(text, max)
      return cut.length <= max && isWellFormed(cut) && (cut === text || text.startsWith(cut.slice(0, -1)))
    }))
  })
})

t.test('the id of a task', async (t) => {
  t.test('is text up to 256 characters, or a number as text', async (t) => {
    t.equal(taskIdOf('i'.repeat(256)), 'i'.repeat(256))
    t.equal(taskIdOf(7), '7')
    t.equal(taskIdOf(2n ** 64n), '18446744073709551616')
    for (const id of ['', undefined, null, true, Symbol('id'), {}, ['a'], () => 'a']) t.equal(taskIdOf(id), 'unnamed')
  })

  t.test('ends in a hash of the whole beyond that, so that long ids stay different', async (t) => {
    const key = 'reports/2026/'.repeat(80)
    const [one, other] = [taskIdOf(`${key}1`), taskIdOf(`${key}2`)]
    t.match(one, /^(reports\/2026\/){18}reports\/2026#[0-9a-f]{8}…$/)
    t.equal(one.length, 256)
    t.not(one, other)
    t.equal(taskIdOf(`${key}1`), one)
    t.equal(taskIdOf(`${'i'.repeat(245)}😀${'i'.repeat(20)}`).length, 255, 'a surrogate pair is not split')
    t.ok(isWellFormed(taskIdOf(`${'i'.repeat(245)}😀${'i'.repeat(20)}`)))
  })

  t.test('has eight digits of hash, also where the hash begins with zeros', async (t) => {
    const ids = Array.from({ length: 300 }, (_, i) => taskIdOf('i'.repeat(300) + i))
    t.ok(ids.every((id) => /#[0-9a-f]{8}…$/.test(id)))
    t.ok(ids.some((id) => id.includes('#0')))
    t.equal(new Set(ids).size, 300)
  })
})
