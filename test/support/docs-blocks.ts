import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export const root = resolve(fileURLToPath(import.meta.url), '../../..')

/** The block of docs/client.md that imports this package. */
export function blockOf (name: string): string {
  const page = readFileSync(`${root}/docs/client.md`, 'utf8')
  const found = [...page.matchAll(/^```js\n([^]*?)^```$/gm)].map(({ 1: text }) => text!).filter((text) => text.includes(`from '${name}'`))
  if (found.length !== 1) throw new Error(`${found.length} blocks import ${name}`)
  return found[0]!
}

/** A module with this block as the body of `setup(client)`, which returns the constant `result`, and `more` after it. */
export function moduleOf (block: string, result: string, more = ''): string {
  const lines = block.trimEnd().split('\n')
  const isImport = (line: string): boolean => line.startsWith('import ')
  return [...lines.filter(isImport), 'export function setup (client) {', ...lines.filter((line) => !isImport(line)), `return ${result}`, '}', more].join('\n')
}

/** Bundles a module that imports packages and, as `client`, the client. */
export async function bundleModule (text: string, platform: 'browser' | 'node'): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: text, resolveDir: root },
    alias: { client: `${root}/lib/client/index.ts` },
    bundle: true,
    format: 'esm',
    platform,
    define: { 'process.env.NODE_ENV': '"development"' },
    write: false
  })
  return outputFiles[0]!.text
}
