import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.examples/**', '.tap/**', 'node_modules/**'] }),
  {
    files: ['**/*.ts'],
    // A TypeBox schema and its type share one name on purpose; the compiler itself refuses real redeclarations.
    rules: { '@typescript-eslint/no-redeclare': 'off', 'no-redeclare': 'off' }
  }
]
