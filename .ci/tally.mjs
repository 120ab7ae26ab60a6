// Reads TAP from stdin and prints one line per test file, every failure, every skipped test and all other output.
// Writes "PASSED FAILED", counted in assertions, to the given file. The exit code is 1 if an assertion failed, if none ran, or
// if a test was skipped that this machine could run.
import { existsSync, writeFileSync } from 'node:fs'
import { Parser } from 'tap-parser'

const ABSENT_TRACE = /^no recorded trace at (.+)$/

let passed = 0
const failures = []
const skips = []

const root = new Parser()
watch(root, [])
process.stdin.pipe(root)
root.on('complete', (results) => {
  if (!results.ok && failures.length === 0) failures.push('the run as a whole (wrong plan, or ended early)')
  if (passed === 0 && failures.length === 0) failures.push('no assertion ran')
  for (const skip of skips) console.log(`skipped: ${skip.name}: ${skip.reason}`)
  for (const skip of skips.filter(({ reason }) => !isTraceAbsent(reason))) failures.push(`${skip.name}: skipped, but this machine could run it`)
  for (const failure of failures) console.log(`FAILED: ${failure}`)
  writeFileSync(process.argv[2], `${passed} ${failures.length}\n`)
  process.exitCode = failures.length === 0 ? 0 : 1
})

// The last point of a subtest summarizes it. It counts only if it fails although nothing inside the subtest failed.
function watch (parser, path) {
  let failedBefore = failures.length
  parser.on('child', (child) => {
    failedBefore = failures.length
    watch(child, [...path, child.name])
  })
  parser.on('assert', (result) => {
    const name = [...path, result.name].join(' > ')
    if (result.closingTestPoint && path.length === 0) console.log(`${result.ok ? 'ok' : 'NOT OK'} ${result.name} (${Math.round(result.time ?? 0)} ms)`)
    if (result.skip !== false || result.todo !== false) skips.push({ name, reason: reasonOf(result) })
    else if (!result.ok && !(result.closingTestPoint && failures.length > failedBefore)) fail(name, result.diag)
    else if (result.ok && !result.closingTestPoint) passed++
  })
  parser.on('extra', (text) => process.stdout.write(text))
  parser.on('bailout', (reason) => { if (path.length === 0) fail(`bail out: ${reason}`) })
}

function fail (name, diag) {
  failures.push(name)
  console.log(`not ok ${name}`)
  for (const [key, value] of Object.entries(diag ?? {})) {
    console.log(typeof value === 'string' && value.includes('\n') ? `${key}:\n${value}` : `${key}: ${JSON.stringify(value)}`)
  }
}

function reasonOf ({ skip, todo }) {
  if (todo !== false) return `todo ${todo}`
  return skip === true ? 'no reason given' : skip
}

function isTraceAbsent (reason) {
  const [, path] = ABSENT_TRACE.exec(reason) ?? []
  return path !== undefined && !existsSync(path)
}
