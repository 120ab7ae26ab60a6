import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/** An order in a response of the shop. */
export interface Order {
  id: string
  title: string
  state: 'queued' | 'warming_up' | 'printing' | 'printed' | 'failed' | 'withdrawn'
  printed: number
  pages: number
  failure: string | null
}

/** The scripted outcome of an order. */
export interface Fate { title: string, pages: number, queuedMs?: number, failsAt?: number, hangsAt?: number }

interface StoredOrder { id: string, fate: Fate, since: number, withdrawnAt: number | undefined }

const WARM_UP_MS = 300
const PAGE_MS = 60

/**
 * The other system: a simulated print shop with an HTTP interface and without webhooks. `GET /orders/:id` returns an
 * order, `DELETE /orders/:id` withdraws it. The state of an order depends on the time only.
 */
export class PrintShop {
  readonly #server: Server
  readonly #orders = new Map<string, StoredOrder>()

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

  /** Accepts an order and returns its id. */
  take (fate: Fate): string {
    const id = `order-${this.#orders.size + 1}`
    this.#orders.set(id, { id, fate, since: performance.now(), withdrawnAt: undefined })
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
    response.end(JSON.stringify(order && toOrder(order)))
  }
}

function toOrder ({ id, fate, since, withdrawnAt }: StoredOrder): Order {
  const { title, pages, queuedMs = 0, failsAt = Infinity, hangsAt = Infinity } = fate
  const elapsedMs = (withdrawnAt ?? performance.now()) - since
  const printingMs = elapsedMs - queuedMs - WARM_UP_MS
  const printed = Math.max(0, Math.min(pages, failsAt, hangsAt, Math.floor(printingMs / PAGE_MS)))
  const order = { id, title, printed, pages, failure: null }
  if (withdrawnAt !== undefined) return { ...order, state: 'withdrawn' }
  if (elapsedMs < queuedMs) return { ...order, state: 'queued' }
  if (printingMs < 0) return { ...order, state: 'warming_up' }
  if (printed === failsAt) return { ...order, state: 'failed', failure: 'paper_out' }
  return { ...order, state: printed === pages ? 'printed' : 'printing' }
}
