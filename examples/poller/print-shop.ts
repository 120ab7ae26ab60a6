import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** An order as the shop tells of it. */
export interface Order {
  id: string
  title: string
  state: 'queued' | 'warming_up' | 'printing' | 'printed' | 'failed' | 'withdrawn'
  printed: number
  pages: number
  failure: string | null
}

/** How an order will fare; a shop of the real world would not tell. */
export interface Fate { title: string, pages: number, queuedMs?: number, failsAt?: number, jamsAt?: number }

const WARM_UP_MS = 300
const PAGE_MS = 60

/**
 * The other system: a print shop that speaks HTTP and calls nobody back. `GET /orders/:id` tells how an order is, `DELETE /orders/:id`
 * withdraws it. What it tells depends on the time alone.
 */
export class PrintShop {
  readonly #server: Server
  readonly #orders = new Map<string, { fate: Fate, since: number, withdrawnAt: number | undefined }>()

  private constructor () {
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  static async open (): Promise<PrintShop> {
    const shop = new PrintShop()
    shop.#server.listen(0, '127.0.0.1')
    await once(shop.#server, 'listening')
    return shop
  }

  get url (): string { return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` }

  /** Takes an order and gives its id. */
  take (fate: Fate): string {
    const id = `order-${this.#orders.size + 1}`
    this.#orders.set(id, { fate, since: performance.now(), withdrawnAt: undefined })
    return id
  }

  async close (): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #answer ({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
    const order = this.#orders.get(url.replace('/orders/', ''))
    if (order !== undefined && method === 'DELETE') order.withdrawnAt ??= performance.now()
    response.writeHead(order === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(order && look(url.replace('/orders/', ''), order.fate, (order.withdrawnAt ?? performance.now()) - order.since, order.withdrawnAt !== undefined)))
  }
}

function look (id: string, { title, pages, queuedMs = 0, failsAt = Infinity, jamsAt = Infinity }: Fate, elapsedMs: number, isWithdrawn: boolean): Order {
  const printingMs = elapsedMs - queuedMs - WARM_UP_MS
  const printed = Math.max(0, Math.min(pages, failsAt, jamsAt, Math.floor(printingMs / PAGE_MS)))
  const order = { id, title, printed, pages, failure: null }
  if (isWithdrawn) return { ...order, state: 'withdrawn' }
  if (elapsedMs < queuedMs) return { ...order, state: 'queued' }
  if (printingMs < 0) return { ...order, state: 'warming_up' }
  if (printed === failsAt) return { ...order, state: 'failed', failure: 'paper_out' }
  return { ...order, state: printed === pages ? 'printed' : 'printing' }
}
