/*
 * Shows the missions of a service in the terminal, across restarts of the service:
 * `node .examples/client.js [URL] [MISSION]`. With a mission id it shows that mission only, and exits when it ends.
 */
import { WebSocket } from 'ws'
import { connect } from 'fastify-mission-control/client'

const [url = 'ws://127.0.0.1:3000/ws/mission-control', id] = process.argv.slice(2)

const client = connect(url, { WebSocket })
client.on('state', ({ state, cause }) => console.log(`${state}: ${cause}`))
client.on('lost', ({ name }) => console.log(`${name}: lost`))
client.on('error', ({ code, message }) => console.error(code, message))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => client.close())

for await (const { name, status, progress } of client.missions(id === undefined ? {} : { id })) {
  console.log(`${name}: ${status}${progress === undefined ? '' : ` ${progress.index}/${progress.total}`}`)
}
client.close()
