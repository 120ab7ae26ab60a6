import type { Test } from 'tap'
import { chromium, type Browser } from 'playwright-core'
import { pathOf, type Available } from './skip.js'

const ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** Starts a browser without network requests of its own; the test closes it. */
export async function launchChromium (t: Test, browser: Available): Promise<Browser> {
  const chrome = await chromium.launch({ executablePath: pathOf(browser), args: ARGS })
  t.teardown(async () => { await chrome.close() })
  return chrome
}
