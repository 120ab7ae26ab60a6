/** Counts by names that are known from the start, so that a scrape shows all of them. */
export class Tally {
  readonly #counts = new Map<string, number>()

  constructor (names: Iterable<string>) {
    for (const name of names) this.#counts.set(name, 0)
  }

  add (name: string): void {
    this.#counts.set(name, this.#counts.get(name)! + 1)
  }

  read (): Record<string, number> {
    return Object.fromEntries(this.#counts)
  }
}

/** Plain counters of the hub; they only ever grow. */
export class HubCounters {
  connectionsTotal = 0
  messagesSentTotal = 0
  bytesSentTotal = 0
  messagesReceivedTotal = 0
  subscriptionsTotal = 0
  replacedTotal = 0
  readonly refused: Tally
  readonly closed: Tally
  readonly protocolErrors: Tally

  constructor (names: { refused: Iterable<string>, closed: Iterable<string>, protocolErrors: Iterable<string> }) {
    this.refused = new Tally(names.refused)
    this.closed = new Tally(names.closed)
    this.protocolErrors = new Tally(names.protocolErrors)
  }
}
