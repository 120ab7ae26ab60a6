import neostandard, { plugins } from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.examples/**', '.tap/**', 'node_modules/**'] }),
  {
    files: ['**/*.{ts,tsx}'],
    // A TypeBox schema and its type share one name on purpose; the compiler itself refuses real redeclarations.
    rules: { '@typescript-eslint/no-redeclare': 'off', 'no-redeclare': 'off' }
  },
  {
    files: ['lib/**/*.{ts,tsx}', 'schemas/**/*.ts', 'examples/**'],
    plugins: { '@stylistic': plugins['@stylistic'] },
    rules: { '@stylistic/max-len': ['error', { code: 120, tabWidth: 2 }] }
  },
  {
    files: ['lib/**/*.{ts,tsx}', 'schemas/**/*.ts'],
    // The same limits as in test/house.test.ts, so that an editor shows them while one types.
    rules: { 'max-lines': ['error', 250], 'max-lines-per-function': ['error', { max: 60, IIFEs: true }] }
  }
]
