import t from 'tap'
import { findHouseBreaches } from './support/house-rules.js'
import { madeUpFiles, readSources } from './support/sources.js'

/** The breaches in a made-up tree. */
const breaches = (texts: Record<string, string>): string[] => findHouseBreaches(madeUpFiles(texts))

const lines = (count: number, line = ''): string => `${line}\n`.repeat(count)

t.test('sizes, folders and names of the package keep to the house rules', async (t) => {
  t.strictSame(findHouseBreaches(readSources()), [])
})

t.test('a tree within all limits has no breach', async (t) => {
  t.strictSame(breaches({
    'schemas/thing.ts': "import { Type, type Static } from '@sinclair/typebox'\nexport const Thing = Type.Object({})\nexport type Thing = Static<typeof Thing>\n",
    'schemas/index.ts': "export * from './thing.js'\nexport { Thing as Other } from './thing.js'\n",
    'lib/long.ts': lines(250),
    'lib/wide.ts': `// ${'x'.repeat(117)}\n`,
    'lib/function.ts': `export function long () {\n${lines(58)}}\n`
  }), [])
})

t.test('a file of more than 250 lines is a breach', async (t) => {
  t.strictSame(breaches({ 'lib/a.ts': lines(251), 'lib/b.ts': '', 'lib/c.ts': '' }), ['lib/a.ts has 251 lines, more than 250'])
})

t.test('a median of more than 100 lines is a breach', async (t) => {
  t.strictSame(breaches({ 'lib/a.ts': lines(10), 'lib/b.ts': lines(101), 'lib/c.ts': lines(102) }), ['the median file has 101 lines, more than 100'])
})

t.test('a line of more than 120 columns is a breach, and is named with its number', async (t) => {
  t.strictSame(breaches({ 'lib/a.ts': `\n// ${'x'.repeat(118)}\n` }), ['lib/a.ts:2 has 121 columns, more than 120'])
})

t.test('a function of more than 60 lines is a breach, comments and blank lines included', async (t) => {
  const body = lines(59, '// why')
  const cases: Array<[string, string]> = [
    [`function one () {\n${body}}`, 'one'],
    [`const two = () => {\n${body}}`, 'two'],
    [`run(function () {\n${body}})`, 'a function without a name'],
    [`class A { three () {\n${body}} }`, 'three'],
    [`class A { constructor () {\n${body}} }`, 'a constructor'],
    [`class A { get four () {\n${body}} }`, 'four']
  ]
  for (const [text, name] of cases) t.strictSame(breaches({ 'lib/a.ts': text, 'lib/b.ts': '' }), [`lib/a.ts: ${name} has 61 lines, more than 60`], name)
})

t.test('more than 12 files directly in one folder are a breach, however many its folders contain', async (t) => {
  const files = (folder: string, count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`${folder}/${index}.ts`, '']))
  t.strictSame(breaches({ ...files('lib/a', 12), ...files('lib/a/b', 12) }), [])
  t.strictSame(breaches(files('lib/a', 13)), ['lib/a directly contains 13 files, more than 12'])
})

t.test('a name that two files define and export is a breach', async (t) => {
  const definitions = [
    'export const Thing = 1', 'export function Thing () {}', 'export class Thing {}', 'export interface Thing {}', 'export type Thing = 1',
    'const Thing = 1\nexport { Thing }', 'interface Thing {}\nexport type { Thing }', 'const Thing = 1\nexport { Thing as Other }'
  ]
  for (const text of definitions) t.strictSame(breaches({ 'lib/a.ts': text, 'schemas/b.ts': 'export type Thing = 2' }), ['Thing is defined in lib/a.ts and schemas/b.ts'], text)
})

t.test('a name that is not exported, or only passed on, may be used again', async (t) => {
  const others = ['const Thing = 1', "export { Thing } from './b.js'", "export * from './b.js'", "import { Thing } from './b.js'\nexport { Thing }", 'export default class Thing {}']
  for (const text of others) t.strictSame(breaches({ 'lib/a.ts': text, 'lib/b.ts': 'export const Thing = 1' }), [], text)
})

t.test('the page may use a name of the service, but no name twice', async (t) => {
  const text = 'export const Thing = 1'
  t.strictSame(breaches({ 'lib/a.ts': text, 'lib/dashboard/a.ts': text }), [])
  t.strictSame(breaches({ 'lib/dashboard/a.ts': text, 'lib/dashboard/b.ts': text }), ['Thing is defined in lib/dashboard/a.ts and lib/dashboard/b.ts'])
})

t.test('an argument type of a constructor or factory ends in Options or Deps', async (t) => {
  const breach = (name: string) => [`lib/a.ts: the argument type ${name} must end in Options or Deps`]
  t.strictSame(breaches({ 'lib/a.ts': 'interface Needs { max: number }\nclass A { constructor ({ max }: Needs) {} }' }), breach('Needs'))
  t.strictSame(breaches({ 'lib/a.ts': 'class A { constructor ({ clock }: AParts) {} }' }), breach('AParts'))
  t.strictSame(breaches({ 'lib/a.ts': 'class A { constructor (setup: ASetup) {} }' }), breach('ASetup'))
  t.strictSame(breaches({ 'lib/a.ts': 'type ALimits = { max: number }\nfunction createA (clock: Clock, { max }: ALimits) {}' }), breach('ALimits'))
  const allowed = [
    'class A { constructor ({ clock }: ADeps, options: AOptions) {} }', 'function createA (clock: Clock, max: number) {}',
    "function createA ({ max }: ResolvedOptions['a']) {}", 'function createA ({ max }: { max: number }) {}', "function createA ({ max }: Pick<A, 'max'>) {}", 'function createA ({ kind }: CancelRequest) {}', 'interface SourceFile { text: string }\nfunction read ({ text }: SourceFile) {}'
  ]
  for (const text of allowed) t.strictSame(breaches({ 'lib/a.ts': text }), [], text)
})
