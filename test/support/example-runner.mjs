// Runs programs one after the other in one process, because starting Node.js takes longer than most of them.
// The parent sends { path, args, environment } and receives { code, stdout, stderr }.
import { pathToFileURL } from 'node:url'

let runs = 0
const inherited = { ...process.env }
// Every run adds its listeners to the streams of the process.
process.stdout.setMaxListeners(0)

process.on('message', async ({ path, args, environment }) => {
  const output = { stdout: '', stderr: '' }
  const restore = ['stdout', 'stderr'].map((name) => capture(name, (text) => { output[name] += text }))
  process.argv = [process.argv[0], path, ...args]
  process.env = { ...inherited, ...environment }
  process.exitCode = 0
  // A new query makes Node.js evaluate the program again; the modules it imports are loaded once.
  await import(`${pathToFileURL(path).href}?run=${runs++}`).catch((err) => {
    output.stderr += `${err.stack}\n`
    process.exitCode = 1
  })
  for (const undo of restore) undo()
  for (const signal of ['SIGINT', 'SIGTERM']) process.removeAllListeners(signal)
  process.send({ code: process.exitCode, ...output })
})

function capture (name, onText) {
  const stream = process[name]
  const { write } = stream
  stream.write = (text) => {
    onText(String(text))
    return true
  }
  return () => { stream.write = write }
}
