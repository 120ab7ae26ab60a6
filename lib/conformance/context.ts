import type { ChannelName } from '../../schemas/channels/index.js'
import { TERMINAL_STATUSES } from '../../schemas/mission.js'
import { expect, show, Skip } from './outcome.js'
import { Peer, type WireMessage } from './peer.js'

/** How a server is to be checked. */
export interface ConformanceSettings {
  /** Address of the WebSocket, `ws:` or `wss:`. */
  url: string
  /** Headers of the upgrade. */
  headers?: Readonly<Record<string, string>> | undefined
  /** Time to wait for each answer. */
  timeoutMs?: number | undefined
  /** A command that starts a mission which ends by itself, and on a cancel, within `timeoutMs`. */
  start?: string | undefined
  /** Time to wait for a heartbeat; without it a server that sends none within `timeoutMs` is not judged. */
  heartbeatMs?: number | undefined
}

const DEFAULT_TIMEOUT_MS = 5_000

const TERMINAL: readonly unknown[] = TERMINAL_STATUSES

export const isEnding = ({ payload }: WireMessage): boolean => TERMINAL.includes(payload?.['status'])

/** What the checks of one run share: the way to connections, to missions, and all that came over all of them. */
export class Context {
  readonly timeoutMs: number
  readonly heartbeatMs: number | undefined
  /** Every connection of the run, the closed ones too. */
  readonly peers: Peer[] = []
  readonly #settings: ConformanceSettings
  #capabilities: Promise<readonly unknown[]> | undefined

  constructor (settings: ConformanceSettings) {
    this.#settings = settings
    this.timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.heartbeatMs = settings.heartbeatMs
  }

  /** Opens a connection; all are closed after the check. */
  async open (): Promise<Peer> {
    const peer = await Peer.open({ url: this.#settings.url, headers: this.#settings.headers ?? {}, timeoutMs: this.timeoutMs })
    this.peers.push(peer)
    return peer
  }

  closeAll (): void {
    for (const peer of this.peers) peer.close()
  }

  /** Whether the server says that it takes a command. */
  async takes (command: 'mission_start' | 'mission_cancel'): Promise<boolean> {
    this.#capabilities ??= this.#askCapabilities()
    return (await this.#capabilities).includes(command)
  }

  /** The command that starts a mission; without one, or where the server takes none, the check is skipped. */
  async startCommand (): Promise<string> {
    const { start } = this.#settings
    if (start === undefined) throw new Skip('needs a command that starts a mission (--start)')
    if (!await this.takes('mission_start')) throw new Skip('the server does not take mission_start')
    return start
  }

  /** Starts a mission over a connection of its own, since a server may allow only a few starts on one; gives its id. */
  async startMission (): Promise<string> {
    const command = await this.startCommand()
    const peer = await this.open()
    const reply = await peer.ask({ type: 'mission_start', command })
    expect(reply.type === 'mission_ack', 'mission_ack to mission_start', reply)
    return String(reply.payload?.['missionId'])
  }

  /** The same where a mission can be started; `undefined` where none can. */
  async tryStartMission (): Promise<string | undefined> {
    return await this.#canStart() ? await this.startMission() : undefined
  }

  /** Waits until a subscribed peer has been told of the end of a mission. */
  async ending (peer: Peer, missionId: string): Promise<WireMessage> {
    return await peer.next(`the end of mission ${show(missionId)}`, (message) => message.type === 'mission_update' && message.payload?.['missionId'] === missionId && isEnding(message))
  }

  /**
   * Something that will be told on a channel: `provoke` resolves when a subscriber of the channel, the witness, was told. A mission where one
   * can be started, else the next of the counts.
   */
  async traffic (): Promise<{ channel: ChannelName, provoke: (witness: Peer) => Promise<void> }> {
    if (!await this.#canStart()) return { channel: 'mission_stats', provoke: (witness) => this.#awaitStats(witness) }
    return { channel: 'mission_update', provoke: async (witness) => { await this.ending(witness, await this.startMission()) } }
  }

  async #canStart (): Promise<boolean> {
    return this.#settings.start !== undefined && await this.takes('mission_start')
  }

  async #awaitStats (witness: Peer): Promise<void> {
    try {
      await witness.next('a mission_stats', ({ type }) => type === 'mission_stats', { from: witness.mark })
    } catch {
      throw new Skip(`nothing was told within ${this.timeoutMs} ms; a command that starts a mission (--start) or a longer --timeout-ms helps`)
    }
  }

  async #askCapabilities (): Promise<readonly unknown[]> {
    const peer = await this.open()
    const { payload } = await peer.ask({ type: 'whoami' })
    const capabilities = payload?.['capabilities']
    return Array.isArray(capabilities) ? capabilities : []
  }
}
