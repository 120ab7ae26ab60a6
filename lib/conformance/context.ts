import type { ChannelName } from '../../schemas/channels/index.js'
import { isTerminal } from '../../schemas/mission.js'
import { expect, show, Skip } from './outcome.js'
import { Peer, type WireMessage } from './peer.js'

export interface ConformanceOptions {
  /** Address of the WebSocket, `ws:` or `wss:`. */
  url: string
  /** Headers of the upgrade request. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Time limit for each answer in ms; 5,000 by default. */
  timeoutMs?: number | undefined
  /** A command that starts a mission. The mission must end within `timeoutMs`, by itself and when it is cancelled. */
  start?: string | undefined
  /** Time limit for a heartbeat in ms. By default a server without a heartbeat within `timeoutMs` is skipped. */
  heartbeatMs?: number | undefined
}

const DEFAULT_TIMEOUT_MS = 5_000

/** Whether the message reports the end of a mission. */
export const isTerminalUpdate = ({ payload }: WireMessage): boolean => isTerminal(payload?.['status'])

/** Messages that a check can cause. */
export interface Traffic {
  channel: ChannelName
  /** Resolves when the observer, a subscriber of the channel, has received a message. */
  provoke (observer: Peer): Promise<void>
}

/** What the checks of one run share: connections, missions, and everything received over all connections. */
export class CheckContext {
  readonly timeoutMs: number
  readonly heartbeatMs: number | undefined
  /** Every connection of the run, including closed ones. */
  readonly peers: Peer[] = []
  readonly #options: ConformanceOptions
  #capabilities: Promise<readonly unknown[]> | undefined

  constructor (options: ConformanceOptions) {
    this.#options = options
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.heartbeatMs = options.heartbeatMs
  }

  /** Opens a connection, which is closed after the check. */
  async open (): Promise<Peer> {
    const { url, headers = {} } = this.#options
    const peer = await Peer.open({ url, headers, timeoutMs: this.timeoutMs })
    this.peers.push(peer)
    return peer
  }

  closeAll (): void {
    for (const peer of this.peers) peer.close()
  }

  /** Whether `whoami` lists a command. */
  async supports (command: 'mission_start' | 'mission_cancel' | 'auth_refresh'): Promise<boolean> {
    this.#capabilities ??= this.#askCapabilities()
    return (await this.#capabilities).includes(command)
  }

  /** Returns the command that starts a mission. Skips the check if there is none or the server does not support it. */
  async startCommand (): Promise<string> {
    const { start } = this.#options
    if (start === undefined) throw new Skip('needs a command that starts a mission (--start)')
    if (!await this.supports('mission_start')) throw new Skip('the server does not support mission_start')
    return start
  }

  /** Sends a start command and returns the reply. Skips the check if the server accepts no more starts for now. */
  async start (peer: Peer, command: string, id?: string): Promise<WireMessage> {
    const reply = await peer.ask({ type: 'mission_start', command }, id)
    if (reply.error?.['code'] !== 'too_many_starts') return reply
    throw new Skip('the server limits starts; let it treat each connection as a user of its own')
  }

  /** Starts a mission over a new connection, because a server may limit starts per connection. Returns its id. */
  async startMission (): Promise<string> {
    const reply = await this.start(await this.open(), await this.startCommand())
    expect(reply.type === 'mission_ack', 'mission_ack to mission_start', reply)
    return String(reply.payload?.['missionId'])
  }

  /** Starts a mission and returns its id, or returns `undefined` where the check would be skipped. */
  async tryStartMission (): Promise<string | undefined> {
    return await this.#canStart() ? await this.startMission() : undefined
  }

  /** Waits until a subscriber receives the end of a mission. */
  async ending (peer: Peer, missionId: string): Promise<WireMessage> {
    return await peer.next(`the end of mission ${show(missionId)}`, (message) =>
      message.type === 'mission_update' && message.payload?.['missionId'] === missionId && isTerminalUpdate(message))
  }

  /** Returns traffic that a check can provoke: a mission if one can be started, otherwise the next `mission_stats`. */
  async traffic (): Promise<Traffic> {
    if (!await this.#canStart()) {
      return { channel: 'mission_stats', provoke: (observer) => this.#awaitStats(observer) }
    }
    return {
      channel: 'mission_update',
      provoke: async (observer) => { await this.ending(observer, await this.startMission()) }
    }
  }

  async #canStart (): Promise<boolean> {
    return this.#options.start !== undefined && await this.supports('mission_start')
  }

  async #awaitStats (observer: Peer): Promise<void> {
    try {
      await observer.next('a mission_stats', ({ type }) => type === 'mission_stats', { from: observer.mark })
    } catch {
      throw new Skip(`no mission_stats within ${this.timeoutMs} ms; use --start COMMAND or a longer --timeout-ms`)
    }
  }

  async #askCapabilities (): Promise<readonly unknown[]> {
    const peer = await this.open()
    const { payload } = await peer.ask({ type: 'whoami' })
    const capabilities = payload?.['capabilities']
    return Array.isArray(capabilities) ? capabilities : []
  }
}
