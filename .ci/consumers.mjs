// How projects consume the installed package: each compiler under each module setting, and each bundler. Used by smoke.mjs.
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'

/** What smoke.mjs installs beside the package: the oldest compiler that the README names, and bundlers. */
export const TOOLS = ['typescript56@npm:typescript@5.6.3', 'vite@8.3.8']

const COMPILERS = {
  5.6: ['node_modules/typescript56/lib/tsc.js'],
  6: [resolve('node_modules/typescript/bin/tsc')],
  7: [resolve('node_modules/typescript7/bin/tsc')]
}

const OLD_RESOLUTION = { module: 'CommonJS', moduleResolution: 'Node10', esModuleInterop: true }

// TypeScript 7 has removed `node10`. CommonJS code cannot require an ES module below TypeScript 5.8 or under `node16`.
const HOSTS = [
  { title: 'bundler', file: 'consumer.ts', options: { module: 'ESNext', moduleResolution: 'Bundler' }, compilers: ['5.6', '6', '7'] },
  { title: 'nodenext', file: 'consumer.ts', options: { module: 'NodeNext' }, compilers: ['5.6', '7'] },
  { title: 'node16', file: 'consumer.ts', options: { module: 'Node16' }, compilers: ['6'] },
  { title: 'node10', file: 'common.ts', options: OLD_RESOLUTION, compilers: ['5.6'] },
  { title: 'node10', file: 'common.ts', options: { ...OLD_RESOLUTION, ignoreDeprecations: '6.0' }, compilers: ['6'] },
  { title: 'CommonJS under nodenext', file: 'common.cts', options: { module: 'NodeNext' }, compilers: ['6', '7'] },
  { title: 'CommonJS under node16, by import()', file: 'dynamic.cts', options: { module: 'Node16' }, compilers: ['5.6', '6'] }
]

const PAGES = [
  { title: 'bundler', options: { module: 'ESNext', moduleResolution: 'Bundler' }, compilers: ['6'] },
  { title: 'nodenext', options: { module: 'NodeNext' }, compilers: ['7'] },
  { title: 'node10', options: OLD_RESOLUTION, compilers: ['5.6'] }
].map((page) => ({ ...page, file: 'page.ts', options: { ...page.options, lib: ['ES2023', 'DOM'], types: [] } }))

/** Compiles the files of `.ci/smoke` in `folder` with the strictest settings, declarations of all dependencies included. */
export function compile (folder, run) {
  for (const { title, file, options, compilers } of [...HOSTS, ...PAGES]) {
    const config = `tsconfig.${file}.json`
    writeFileSync(join(folder, config), JSON.stringify({ extends: './tsconfig.json', compilerOptions: options, files: [file] }))
    for (const version of compilers) run('node', [...COMPILERS[version], '-p', config], `${title} with TypeScript ${version}`)
    console.log(`types: ${file} compiles under ${title} without skipLibCheck`)
  }
}

/** Bundles the code of a page with each bundler. */
export async function bundle (folder, run) {
  writeFileSync(join(folder, 'index.html'), '<script type="module" src="./page.ts"></script>\n')
  run('node', ['node_modules/vite/bin/vite.js', 'build', '--logLevel', 'error', '--outDir', 'vite'])
  await build({ absWorkingDir: folder, entryPoints: ['page.ts'], bundle: true, logLevel: 'error', outfile: 'esbuild/page.js' })
  console.log('bundlers: Vite and esbuild bundle a page')
}
