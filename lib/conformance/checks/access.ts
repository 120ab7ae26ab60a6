import type { Check } from '../check.js'
import { expect, show } from '../outcome.js'
import { isAck } from '../subscribe.js'

export const ACCESS_CHECKS: readonly Check[] = [
  {
    name: 'whoami-channels',
    demands: 'Every channel that `whoami` lists can be subscribed to.',
    async run (context) {
      const peer = await context.open()
      const { payload } = await peer.ask({ type: 'whoami' })
      const channels: unknown = payload?.['channels']
      expect(Array.isArray(channels), 'a list of channels', payload)
      for (const channel of channels as string[]) {
        const answer = await peer.ask({ type: 'subscribe', channels: [channel] })
        expect(isAck(answer, channel, 'subscribed'), `an ack for ${show(channel)}, which whoami lists`, answer)
      }
    }
  },
  {
    name: 'auth-refresh',
    demands: 'A token that is refused closes the connection with 4401, if `whoami` lists `auth_refresh`; otherwise ' +
      '`auth_refresh` is answered with `protocol_error`.',
    async run (context) {
      const isSupported = await context.supports('auth_refresh')
      const peer = await context.open()
      const id = peer.makeId('refresh')
      peer.send({ type: 'auth_refresh', id, token: 'conformance-no-such-token' })
      if (isSupported) {
        const { code } = await peer.whenClosed('a close after a token that does not exist')
        expect(code === 4401, 'close code 4401', code)
      } else {
        const answer = await peer.next('a reply to auth_refresh', ({ replyTo }) => replyTo === id)
        expect(answer.type === 'protocol_error', 'protocol_error', answer)
      }
    }
  }
]
