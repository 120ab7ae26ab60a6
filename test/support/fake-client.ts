import type { Client, ClientMissionState } from '../../lib/client/index.js'

type Request = { type: string, missionId?: string }

/** A client without a service: the test emits its events and answers its requests. */
export class FakeClient {
  readonly requests: Request[] = []
  readonly #listeners = new Map<string, Array<(event: unknown) => void>>()
  readonly #states = new Map<string, ClientMissionState>()
  /** Returns the answer to a request, or throws its error. */
  answer: (request: Request) => unknown = () => ({})

  /** The part of a client that the page uses. */
  readonly client = {
    state: 'open',
    rttMs: 12,
    missionsState: this.#states,
    on: (name: string, listener: (event: unknown) => void) => {
      this.#listeners.set(name, [...this.#listeners.get(name) ?? [], listener])
    },
    request: async (request: Request) => {
      this.requests.push(request)
      return this.answer(request)
    },
    ping: async () => 12,
    close: () => { this.emit('state', { state: 'closed', cause: 'closed' }) }
  } as unknown as Client

  emit (name: string, event: unknown): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(event)
  }

  /** An update as the client emits it, after it has merged it into its map. */
  update (state: ClientMissionState, isSnapshot = false): void {
    if (!isSnapshot) this.#states.set(state.missionId, state)
    this.emit('mission_update', isSnapshot ? { ...state, snapshot: true } : state)
  }

  /** Lets all answers arrive. */
  async settle (): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}
