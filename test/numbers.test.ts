import t from 'tap'
import { boot } from './support/app.js'
import { exchange, RawClient } from './support/raw-client.js'

const TEXTS = ['Infinity', '-Infinity', '1e400', '-1e400', 'NaN', '-1', '1.5', '1e3', '0x10', '', ' 1', '+1', '1_000', '٣', '99999999999999999', 'null', 'true']

t.test('a number of a query that is not written in decimal digits is answered with 400', async (t) => {
  const app = await boot(t, { routes: { missions: '/missions' } })
  for (const name of ['since', 'until', 'limit', 'cursor']) {
    for (const text of TEXTS) {
      const answer = await exchange(app, `GET /missions?${name}=${encodeURIComponent(text)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
      t.match(answer, /^HTTP\/1\.1 400 /, `${name}=${text}`)
    }
    const twice = await exchange(app, `GET /missions?${name}=1&${name}=Infinity HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    t.match(twice, /^HTTP\/1\.1 400 /, `${name} twice`)
  }
  for (const text of TEXTS) {
    t.equal((await app.inject(`/health?details=${encodeURIComponent(text)}&since=${encodeURIComponent(text)}`)).statusCode, text.length > 16 ? 400 : 200)
    t.equal((await app.inject(`/health?probe=${encodeURIComponent(text)}`)).statusCode, 400)
  }
})

t.test('a number of a frame that is out of range is an invalid message, and the connection stays open', async (t) => {
  const app = await boot(t, { websocket: { maxMessagesPerSecond: 1_000 } })
  const client = await RawClient.connect(app)
  const values = ['Infinity', '1e400', '-1e400', 'NaN', '-1', '1.5', '"1"', 'null', '9007199254740993e5', 'true', '[1]']
  const frames: Record<string, (value: string) => string> = {
    endings: (value) => `{"type":"subscribe","id":"n","channels":["mission_update"],"endings":${value}}`,
    offset: (value) => `{"type":"subscribe","id":"n","channels":["mission_update"],"since":{"mission_update":{"epoch":"e","offset":${value},"id":"i"}}}`,
    'the cursor': (value) => `{"type":"subscribe","id":"n","channels":["mission_update"],"since":{"mission_update":${value}}}`,
    'the cursors': (value) => `{"type":"subscribe","id":"n","channels":["mission_update"],"since":${value}}`,
    'an id': (value) => `{"type":"ping","id":${value}}`
  }
  for (const [title, frame] of Object.entries(frames)) {
    for (const value of values) {
      if (title === 'an id' && value === '"1"') continue
      // Beyond every position of the log: such a cursor is answered with a gap.
      if (title === 'offset' && value.startsWith('9')) continue
      const { error } = await client.send(frame(value)).next('protocol_error')
      t.match(error.code, /^invalid_(json|message)$/, `${title} ${value}`)
    }
  }
  t.equal((await client.send({ type: 'ping' }).next('pong'))['type'], 'pong')
  client.socket.destroy()
})
