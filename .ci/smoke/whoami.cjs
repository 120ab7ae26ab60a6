const fastify = require('fastify')
const WebSocket = require('ws')

/** Boots an app with `plugin`, asks it who it is over a WebSocket, closes the app and gives the answer. */
module.exports = async function whoami (plugin) {
  const app = fastify()
  await app.register(plugin, { server: { name: 'smoke', version: '1.2.3' } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  app.missions.start({ name: 'smoke' })
  const socket = new WebSocket(`ws://127.0.0.1:${app.server.address().port}/ws/mission-control`)
  const answer = new Promise((resolve, reject) => {
    socket.on('message', (data) => {
      const message = JSON.parse(data)
      if (message.type === 'whoami') resolve(message)
    })
    socket.on('error', reject)
    socket.on('close', (code, reason) => reject(new Error(`closed with ${code} ${reason} before the answer`)))
    socket.on('open', () => socket.send('{"type":"whoami","id":"1"}'))
  })
  try {
    return await answer
  } finally {
    await app.close()
  }
}
