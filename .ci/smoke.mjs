// Packs the package, checks the files in the tarball, installs it into an empty folder as a user does, and uses it there
// from an ES module, from CommonJS, from TypeScript under each module setting, and from bundlers.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundle, compile, TOOLS } from './consumers.mjs'

const SHIPPED = /^(package\.json|(README|CHANGELOG|CONTRIBUTING|SECURITY)\.md|LICENSE|dist\/dashboard\/.+|(dist\/)?(lib|schemas)\/.+|docs\/.+)$/
const EXPECTED = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE', 'dist/lib/index.js', 'dist/lib/index.d.ts', 'dist/lib/client/index.js', 'dist/lib/client/index.d.ts',
  ...['lib/backplane/index', 'lib/backplane/redis/index', 'lib/reporter', 'schemas/index'].flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]),
  'dist/dashboard/assets.js', 'dist/lib/conformance/cli.js', 'docs/conformance.md', 'docs/options.md', 'docs/scaling.md',
  ...['client-messages', 'server-messages', 'http', 'asyncapi', 'openapi'].map((name) => `schemas/json/${name}.json`)]

const folder = mkdtempSync(join(tmpdir(), 'mission-control-smoke-'))
try {
  const tarball = pack()
  install(tarball)
  run('node', ['import.mjs'])
  run('node', ['require.cjs'])
  run('node', ['dashboard.mjs'])
  run('node', ['follow.mjs'])
  run('node', ['conform.mjs'])
  run('node', ['worker.mjs'])
  compile(folder, run)
  await bundle(folder, run)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function pack () {
  const [{ filename, files, unpackedSize }] = JSON.parse(packed())
  const paths = files.map(({ path }) => path)
  const strange = paths.filter((path) => !SHIPPED.test(path))
  const missing = EXPECTED.filter((path) => !paths.includes(path))
  if (strange.length > 0) throw new Error(`the tarball must not contain ${strange.join(', ')}`)
  if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')}`)
  console.log(`${filename}: ${paths.length} files, ${unpackedSize} bytes unpacked`)
  return join(folder, filename)
}

// npm prints the list of files to stdout; if the build fails, the compiler prints its errors there too.
function packed () {
  try {
    return execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  } catch (err) {
    console.error(err.stdout)
    throw err
  }
}

// Fastify and the types have the versions of the lock file, so that one of their releases cannot fail this run.
function install (tarball) {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  const locked = ['fastify', '@types/node'].map((name) => `${name}@${packages[`node_modules/${name}`].version}`)
  cpSync('.ci/smoke', folder, { recursive: true })
  // Under the module settings of old projects, a `.cts` file has no type of its own.
  copyFileSync('.ci/smoke/common.cts', join(folder, 'common.ts'))
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', tarball, ...locked, ...TOOLS])
}

function run (command, args, title = '') {
  if (title !== '') return runNamed(command, args, title)
  execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'], timeout: 180_000 })
}

// The compiler names the file, but not the setting under which it failed.
function runNamed (command, args, title) {
  try {
    run(command, args)
  } catch (err) {
    throw new Error(`does not compile: ${title}`, { cause: err })
  }
}
