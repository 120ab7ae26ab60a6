// Bundles the page of lib/dashboard into `dist/dashboard`: files with hashed names for a look at them, and the module
// `assets.js`, which contains them compressed. The routes import that module, so it works in a bundled host too.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { promisify } from 'node:util'
import zopfli from '@gfx/zopfli'
import { build } from 'esbuild'
import { minify } from 'terser'
import { findOwnNames } from './dashboard/own-names.mjs'
import { uplotParts } from './dashboard/uplot-parts.mjs'

const OUT = 'dist/dashboard'
const MAX_FIRST_BYTES = 40_960
const MAX_BYTES = 61_440

const compress = promisify(zopfli.gzip)
const ownNames = new RegExp(`^(?:${findOwnNames().join('|')})$`)

const options = {
  entryPoints: { app: 'lib/dashboard/main.tsx', style: 'lib/dashboard/styles/index.css' },
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  outdir: OUT,
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  platform: 'browser',
  target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  plugins: [uplotParts],
  metafile: true,
  write: false
}
// The short names of properties in one file depend on all of them, so each hashed name has to change with any of them.
const { outputFiles: drafts } = await build(options)
const digest = createHash('sha256').update(ownNames.source)
for (const { contents } of drafts) digest.update(contents)
const { outputFiles, metafile } = await build({ ...options, banner: { js: `/*${digest.digest('hex')}*/` } })

const names = new Map(Object.entries(metafile.outputs).map(([path, { entryPoint }]) => [basename(path), entryPoint]))
const fileOf = (entryPoint) => [...names].find(([, entry]) => entry === entryPoint)[0]
const script = fileOf('lib/dashboard/main.tsx')
const style = fileOf('lib/dashboard/styles/index.css')
// Static imports of the script are loaded with it.
const first = new Set([script, style])
for (const name of first) {
  const { imports } = metafile.outputs[`${OUT}/${name}`]
  for (const { path, kind } of imports) if (kind === 'import-statement') first.add(basename(path))
}

const icon = readFileSync('lib/dashboard/icon.svg')
const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`
const files = [...outputFiles.map(({ path, contents }) => ({ name: basename(path), contents })), { name: iconName, contents: icon }]
// A property has the same short name in every file, so the files are shrunk one after the other.
const nameCache = {}
const packed = []
for (const { name, contents } of files) {
  const smaller = extname(name) === '.js' ? await shrink(contents) : Buffer.from(contents)
  packed.push({ name, contents: smaller, gzip: Buffer.from(await compress(smaller, { numiterations: 15 })) })
}

// Each byte is loaded by every visitor: terser finds 3 % that esbuild does not, shorter names of properties 4 %, and
// Zopfli packs 4 % tighter than zlib.
async function shrink (contents) {
  const properties = { regex: ownNames }
  const settings = {
    module: true,
    ecma: 2022,
    compress: { passes: 3, pure_getters: true },
    mangle: { toplevel: true, properties },
    nameCache
  }
  nameCache.vars = undefined
  const { code } = await minify(Buffer.from(contents).toString(), settings)
  return Buffer.from(code)
}

mkdirSync(OUT, { recursive: true })
for (const { name, contents } of packed) writeFileSync(`${OUT}/${name}`, contents)
const preload = [...first].filter((name) => extname(name) === '.js' && name !== script)
const assets = packed.map(({ name, gzip }) => [name, gzip.toString('base64')])
writeFileSync(`${OUT}/assets.js`, [
  `export const entry = ${JSON.stringify({ script, style, icon: iconName, preload })}`,
  `export const assets = ${JSON.stringify(assets)}`,
  ''
].join('\n'))

const sum = (list) => list.reduce((total, { gzip }) => total + gzip.length, 0)
const firstBytes = sum(packed.filter(({ name }) => first.has(name)))
const bytes = sum(packed)
const size = `lib/dashboard: ${bytes} bytes after gzip, at most ${MAX_BYTES}; ${firstBytes} before the first chart, at most ${MAX_FIRST_BYTES}`
if (process.argv.includes('--size')) console.log(size)
if (firstBytes > MAX_FIRST_BYTES || bytes > MAX_BYTES) {
  console.error(size)
  process.exitCode = 1
}
