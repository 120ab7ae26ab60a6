import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo, Socket } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import missionControl, { type MissionControlOptions } from '../../lib/index.js'
import { closingSoon } from './app.js'

/** A service on a port, whose connections a test can drop. */
export interface Service {
  app: FastifyInstance
  origin: string
  /** Its open connections. */
  sockets: ReadonlySet<Socket>
  dropAll: () => void
}

export interface ServiceOptions {
  options?: MissionControlOptions
  setUp?: (app: FastifyInstance) => void
}

/** Starts a service with the plugin and its page. */
export async function serve (t: Test, { options = {}, setUp }: ServiceOptions = {}): Promise<Service> {
  const app = Fastify({ forceCloseConnections: true })
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => { sockets.add(socket.once('close', () => sockets.delete(socket))) })
  await app.register(missionControl, closingSoon(options))
  setUp?.(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(async () => { await app.close() })
  const address = app.server.address() as AddressInfo
  return { app, origin: `http://127.0.0.1:${address.port}`, sockets, dropAll: () => { for (const socket of sockets) socket.destroy() } }
}

/** What a page must never do; the list stays empty. */
export interface Visit {
  page: Page
  problems: string[]
}

export interface VisitOptions extends BrowserContextOptions {
  hash?: string
  /** Lets the test drive the time of the page. */
  isVirtual?: boolean
}

/** Opens the page of a service as a visitor does, and collects errors, refused content and requests to other hosts. */
export async function visit (t: Test, chrome: Browser, origin: string, options: VisitOptions = {}): Promise<Visit> {
  const { hash = '', isVirtual = false, ...contextOptions } = options
  const context = await chrome.newContext({ viewport: { width: 1280, height: 900 }, ...contextOptions })
  t.teardown(async () => { await context.close() })
  if (isVirtual) await context.clock.install()
  const page = await context.newPage()
  const problems: string[] = []
  page.on('pageerror', (err) => { problems.push(`error: ${err.message}`) })
  page.on('console', (message) => {
    if (message.type() === 'error' && !/WebSocket connection|net::ERR_|status of 40[13]/.test(message.text())) problems.push(`console: ${message.text()}`)
  })
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(origin) && !url.startsWith('data:') && !url.startsWith('blob:')) problems.push(`request: ${url}`)
  })
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch(() => {})
  })
  await page.goto(`${origin}/mission-control/${hash}`)
  await page.locator('.connection-text', { hasText: 'live' }).first().waitFor({ timeout: 20_000 })
  return { page, problems }
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeViolation { id: string, nodes: Array<{ target: string[], failureSummary: string }> }

/** The accessibility violations of a page as axe-core finds them, each with the elements. */
export async function violations (page: Page): Promise<string[]> {
  // DevTools may evaluate what the policy of the page forbids itself.
  if (await page.evaluate('typeof axe === "undefined"')) await page.evaluate(AXE)
  const found = await page.evaluate('axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)') as AxeViolation[]
  return found.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary.split('\n')[1] ?? ''}`).join('; ')}`)
}

/** Elements that are wider than the window, which a visitor could see only by scrolling sideways. */
export async function sideways (page: Page): Promise<number> {
  return await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}

/** The table as a visitor reads it: status and name of each row. */
export async function readRows (page: Page): Promise<string[]> {
  return await page.locator('tr.mission').evaluateAll((rows) => rows.map((row) =>
    `${row.querySelector('.status')!.textContent!.trim()} ${row.querySelector('.mission-name')!.textContent!}`))
}
