import { fork } from 'node:child_process'

/** A child process that replies to commands: `await worker.call('start', { … })`. */
export function startWorker (file) {
  const child = fork(new URL(file, import.meta.url), { execArgv: ['--expose-gc'] })
  const waiting = new Map()
  let nextId = 0
  child.on('message', ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(`${file}: ${error}`))
  })
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended with ${code}`))
  })
  return {
    call: (command, args) => new Promise((resolve, reject) => {
      const id = nextId++
      waiting.set(id, { resolve, reject })
      child.send({ id, command, args })
    }),
    stop: () => new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
  }
}
