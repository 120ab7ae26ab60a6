// Takes the screenshots of the page in `docs/images`: `npm run screenshots [name …]`.
import { mkdirSync } from 'node:fs'
import { chromium } from 'playwright-core'
import { startService } from './screenshots/service.mjs'

const OUT = 'docs/images'
const ARGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const DESKTOP = { viewport: { width: 1440, height: 900 } }

const openFirst = async (page, text) => {
  await page.locator('tr.mission', { hasText: text }).first().click()
  await page.mouse.move(0, 0)
}

const SHOTS = {
  'page-light': DESKTOP,
  'page-dark': { ...DESKTOP, colorScheme: 'dark' },
  'page-phone': { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, act: (page) => page.evaluate("document.getElementById('missions').scrollIntoView()") },
  'page-mission': { ...DESKTOP, act: (page) => openFirst(page, 'verify') },
  'page-alert': {
    ...DESKTOP,
    isAlerting: true,
    act: async (page) => {
      await page.locator('.alert').first().waitFor({ timeout: 60_000 })
      await page.waitForTimeout(12_000)
    }
  }
}

const WAIT_MS = 9_000
const wanted = process.argv.slice(2)
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS })
mkdirSync(OUT, { recursive: true })
try {
  for (const [name, { act, isAlerting, ...context }] of Object.entries(SHOTS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const service = await startService({ isAlerting })
    const page = await (await browser.newContext({ locale: 'en-GB', timezoneId: 'Europe/Berlin', ...context })).newPage()
    await page.goto(`${service.origin}/mission-control/`)
    await page.locator('.uplot').first().waitFor()
    await page.waitForTimeout(WAIT_MS)
    await act?.(page)
    await page.waitForTimeout(800)
    await page.screenshot({ path: `${OUT}/${name}.png` })
    await page.context().close()
    await service.close()
    console.log(`${OUT}/${name}.png`)
  }
} finally {
  await browser.close()
}
