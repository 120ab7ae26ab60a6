// Bundles the client for a browser and fails if it is larger after gzip than the documented limit.
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const MAX_BYTES = 7_680

const { outputFiles: [bundle] } = await build({
  entryPoints: ['dist/lib/client/index.js'],
  bundle: true,
  minify: true,
  platform: 'browser',
  format: 'esm',
  target: 'es2022',
  write: false
})
const bytes = gzipSync(bundle.contents, { level: 9 }).length
console.log(`lib/client: ${bundle.contents.length} bytes minified, ${bytes} after gzip, at most ${MAX_BYTES}`)
if (bytes > MAX_BYTES) process.exitCode = 1
