// The code of a page, compiled with browser types and without Node.js types.
import {
  connect, ClientError, type ChannelName, type ChannelPayloads, type ClientMissionState, type MissionUpdate
} from 'fastify-mission-control/client'

const client = connect('/ws/mission-control', { WebSocket, storage: sessionStorage, document, window, filter: { tags: ['nightly'] } })
client.on('mission_update', ({ name, status }) => { document.title = `${name}: ${status}` })
client.on('error', (err: ClientError) => { document.title = err.code })
export const ended: Promise<ClientMissionState> = client.waitFor('a', { signal: AbortSignal.timeout(1_000) })

// @ts-expect-error a channel that does not exist must not compile
client.on('mission_news', () => {})

const channels: ChannelName[] = ['mission_update', 'health_delta']
const show = ({ name, status }: MissionUpdate): void => { document.title = `${name}: ${status}` }
const warn = ({ status }: ChannelPayloads['health_delta']): void => { document.title = status }
const both = connect('/ws/mission-control', { channels })
both.on('mission_update', show)
both.on('health_delta', warn)
