import type { FastifyInstance } from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t from 'tap'
import { launchChromium } from './support/chromium.js'
import { readRows, serve, sideways, violations, visit } from './support/dashboard-page.js'
import { findChromium, onlyWith } from './support/skip.js'

const browser = findChromium()

/** The cancel request of a mission, as the host sees it. */
const cancelOf = ({ missions }: FastifyInstance, id: string) => missions.list().missions.find((mission) => mission.id === id)!.cancel

/** Missions in all states. */
function fill ({ missions }: FastifyInstance): void {
  const running = missions.start({ id: 'run-1', name: 'import customers', tags: ['team:blue'], objective: 'Bring everything up to date', metadata: { batch: 7 } })
  running.planned({ plan: { steps: ['fetch', 'parse'] } })
  running.executionStarted()
  running.progress({ taskId: 'fetch', index: 1, total: 4, status: 'running' })
  missions.start({ id: 'child-1', name: 'index shard', parentId: 'run-1' })
  missions.start({ id: 'done-1', name: 'render invoice' }).complete()
  missions.start({ id: 'failed-1', name: 'sync warehouse' }).fail(Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:5432'), { code: 'ECONNREFUSED' }))
  missions.start({ id: 'over-1', name: 'nightly digest' }).cancelled('The mission took longer than its timeout')
}

const row = (page: Page, name: string) => page.locator('tr.mission', { hasText: name })

t.test('the page in a browser', onlyWith(browser), async (t) => {
  const chrome: Browser = await launchChromium(t, browser)

  await t.test('shows a newcomer how to begin, and then the first mission as it runs and ends', async (t) => {
    const { app, origin } = await serve(t)
    const { page, problems } = await visit(t, chrome, origin)
    await page.getByText('No missions yet').waitFor()
    t.strictSame(await violations(page), [])
    const mission = app.missions.start({ name: 'first steps' })
    mission.executionStarted()
    mission.progress({ taskId: 'fetch', index: 1, total: 2, status: 'running' })
    await row(page, 'first steps').getByText('1/2 fetch').waitFor()
    mission.complete()
    await row(page, 'first steps').getByText('completed').waitFor()
    t.strictSame(problems, [])
  })

  await t.test('leads somebody on call from an alert to the error of the mission that failed', async (t) => {
    const { app, origin } = await serve(t, { options: { alerts: { rules: { mission_error_rate: { forMs: 0 } } } } })
    fill(app)
    for (let i = 0; i < 6; i++) app.missions.start({ id: `f${i}`, name: 'sync warehouse' }).fail(Object.assign(new Error(`connect ECONNREFUSED 10.0.0.${i}:5432`), { code: 'ECONNREFUSED' }))
    const { page, problems } = await visit(t, chrome, origin)
    const alert = page.getByRole('region', { name: 'Firing alerts' }).locator('.alert').first()
    await alert.waitFor({ timeout: 30_000 })
    t.strictSame(await violations(page), [])
    await alert.getByRole('button', { name: 'Show missions' }).click()
    await page.waitForURL(/status=error/)
    t.ok((await readRows(page)).every((text) => text.startsWith('error')))
    await row(page, 'sync warehouse').first().click()
    const drawer = page.getByRole('complementary', { name: 'Mission' })
    await drawer.getByText('6 others in the last hour').waitFor()
    t.match(await drawer.getByRole('region', { name: 'Error' }).innerText(), /ECONNREFUSED/)
    t.strictSame(await violations(page), [])
    await page.goto(`${origin}/mission-control/#/alerts`)
    await page.getByRole('complementary', { name: 'Alerts' }).locator('.alert').first().waitFor()
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('stops a mission with a reason, and tells that it is stopping and that it has ended', async (t) => {
    const { app, origin } = await serve(t, { setUp: ({ missions }) => missions.handle({ cancel: {} }) })
    fill(app)
    const { page, problems } = await visit(t, chrome, origin)
    await row(page, 'import customers').getByRole('button', { name: 'Stop' }).click()
    const dialog = page.getByRole('dialog')
    t.strictSame(await violations(page), [])
    t.strictSame(await dialog.getByRole('button').allInnerTexts(), ['Keep running', 'Stop mission'])
    await dialog.getByRole('button', { name: 'Keep running' }).click()
    t.equal(await dialog.count(), 0)
    t.equal(cancelOf(app, 'run-1'), null)
    await row(page, 'import customers').getByRole('button', { name: 'Stop' }).click()
    await dialog.getByLabel('Reason').fill('it hangs')
    await dialog.getByRole('button', { name: 'Stop mission' }).click()
    await row(page, 'import customers').getByText('stopping…').waitFor()
    t.match(cancelOf(app, 'run-1'), { kind: 'client', reason: 'it hangs' })
    await row(page, 'import customers').click()
    const drawer = page.getByRole('complementary', { name: 'Mission' })
    await drawer.getByText(/The work has \d+ s to end by itself/).waitFor()
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('stops several missions that were ticked', async (t) => {
    const { app, origin } = await serve(t, { setUp: ({ missions }) => missions.handle({ cancel: {} }) })
    for (const id of ['a', 'b', 'c']) app.missions.start({ id, name: `job ${id}` })
    const { page } = await visit(t, chrome, origin)
    await page.getByRole('checkbox', { name: 'Select job a' }).check()
    await page.getByRole('checkbox', { name: 'Select job c' }).check()
    await page.getByRole('button', { name: 'Stop 2 selected…' }).click()
    await page.getByRole('button', { name: 'Stop missions' }).click()
    await row(page, 'job a').getByText('stopping…').waitFor()
    await row(page, 'job c').getByText('stopping…').waitFor()
    t.equal(cancelOf(app, 'b'), null)
  })

  await t.test('starts a mission with a form made from the schema, and opens it', async (t) => {
    const schema = { type: 'object', properties: { url: { type: 'string', title: 'Address' }, depth: { type: 'integer', default: 2 } }, required: ['url'] }
    const { app, origin } = await serve(t, {
      setUp: ({ missions }) => missions.handle({
        start: { schema, start: (_command, { params }) => missions.start({ name: `import ${(params as { url: string }).url}`, metadata: params as Record<string, unknown> }) }
      })
    })
    const { page, problems } = await visit(t, chrome, origin)
    await page.getByRole('button', { name: 'Start mission…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Address').fill('shop.example')
    t.strictSame(await violations(page), [])
    await dialog.getByRole('button', { name: 'Start mission' }).click()
    await page.getByRole('complementary', { name: 'Mission' }).getByText('import shop.example').waitFor()
    t.strictSame([...app.missions.list({}).missions].map(({ metadata }) => metadata), [{ url: 'shop.example', depth: 2 }])
    t.strictSame(problems, [])
  })

  await t.test('has no controls when it is read-only', async (t) => {
    const setUp = ({ missions }: FastifyInstance) => missions.handle({ cancel: {}, start: { start: () => missions.start({ name: 'started' }) } })
    const { app, origin } = await serve(t, { options: { dashboard: { readOnly: true } }, setUp })
    fill(app)
    const { page } = await visit(t, chrome, origin)
    await row(page, 'import customers').click()
    await page.getByText('Bring everything up to date').waitFor()
    await page.keyboard.press('c')
    t.equal(await page.getByRole('button', { name: /Stop|Start m/ }).count() + await page.getByRole('checkbox').count() + await page.getByRole('dialog').count(), 0)
  })

  await t.test('says that the session has expired, in both themes without a violation', async (t) => {
    const { app, origin } = await serve(t, { options: { access: { identify: () => ({ id: 'ann' }) } } })
    fill(app)
    const { page } = await visit(t, chrome, origin, { reducedMotion: 'reduce' })
    app.missionControl.revoke(() => true)
    await page.getByText(/Your session has expired/).waitFor()
    t.strictSame(await violations(page), [])
    await page.emulateMedia({ colorScheme: 'dark' })
    t.strictSame(await violations(page), [])
    t.ok(await page.getByRole('button', { name: /reload/i }).count() > 0)
  })

  await t.test('says so too when the service refuses it only as it reconnects', async (t) => {
    let isSignedIn = true
    const { origin, dropAll } = await serve(t, { options: { access: { identify: () => isSignedIn ? { id: 'ann' } : null } } })
    const { page } = await visit(t, chrome, origin)
    isSignedIn = false
    dropAll()
    await page.getByText(/Your session has expired/).waitFor({ timeout: 30_000 })
  })

  await t.test('greys what it shows while the network is away, and replaces it afterwards', async (t) => {
    const { app, origin, dropAll } = await serve(t)
    fill(app)
    const { page, problems } = await visit(t, chrome, origin)
    await page.context().setOffline(true)
    dropAll()
    await page.locator('.connection-text', { hasText: /reconnecting/ }).waitFor()
    await page.getByText(/as of \d\d:\d\d:\d\d/).waitFor()
    t.equal(await page.locator('table.outdated').count(), 1)
    t.strictSame(await violations(page), [])
    app.missions.get('run-1')!.complete()
    await page.context().setOffline(false)
    await page.locator('.connection-text', { hasText: 'live' }).waitFor({ timeout: 30_000 })
    await page.locator('table:not(.outdated)').waitFor()
    await row(page, 'import customers').getByText('completed').waitFor()
    t.strictSame(problems, [])
  })

  await t.test('is operated with the keyboard alone', async (t) => {
    const { app, origin } = await serve(t, { setUp: ({ missions }) => missions.handle({ cancel: {} }) })
    for (const [index, name] of ['one', 'two', 'three'].entries()) app.missions.start({ id: name, name, startedAt: Date.now() - index * 1_000 })
    const { page, problems } = await visit(t, chrome, origin)
    await row(page, 'three').waitFor()
    await page.keyboard.press('Tab')
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to missions')
    for (const key of ['j', 'j']) await page.keyboard.press(key)
    await page.locator('tr.mission:focus').waitFor()
    await page.keyboard.press('Enter')
    await page.waitForURL(/#\/m\/two/)
    await page.getByRole('complementary', { name: 'Mission' }).waitFor()
    await page.keyboard.press('Escape')
    await page.locator('tr.mission:focus').waitFor()
    t.match(await page.evaluate('document.activeElement.textContent') as string, /two/, 'the focus is back on the row')
    await page.keyboard.press('c')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Escape')
    t.equal(await page.getByRole('dialog').count(), 0)
    await page.keyboard.press('/')
    await page.keyboard.type('thr')
    await page.waitForURL(/q=thr/)
    t.strictSame((await readRows(page)).length, 1)
    await page.keyboard.press('Escape')
    await page.keyboard.press('p')
    await page.locator('.connection-text', { hasText: 'paused' }).waitFor()
    await page.keyboard.press('p')
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('restores a view from its address, and a mission that ended long ago', async (t) => {
    const { app, origin } = await serve(t)
    fill(app)
    const { page } = await visit(t, chrome, origin, { hash: '#/m/failed-1?status=error&q=warehouse&sort=name&order=asc' })
    await page.getByRole('complementary', { name: 'Mission' }).getByText('connect ECONNREFUSED').waitFor()
    t.strictSame(await readRows(page), ['error sync warehouse'])
    t.equal(await page.getByRole('searchbox').inputValue(), 'warehouse')
    t.equal(await page.getByRole('columnheader', { name: 'Mission' }).getAttribute('aria-sort'), 'ascending')
  })

  await t.test('does not move rows that somebody reads when new missions come', async (t) => {
    const { app, origin } = await serve(t)
    fill(app)
    const { page } = await visit(t, chrome, origin)
    await row(page, 'import customers').hover()
    const before = await readRows(page)
    for (let i = 0; i < 12; i++) app.missions.start({ id: `later-${i}`, name: `later ${i}` })
    await page.getByRole('button', { name: '12 new: show' }).waitFor()
    t.strictSame((await readRows(page)).map((text) => text.replace(/^\S+ /, '')), before.map((text) => text.replace(/^\S+ /, '')))
    t.strictSame(await violations(page), [])
    await page.getByRole('button', { name: '12 new: show' }).click()
    await row(page, 'later 11').waitFor()
  })

  await t.test('draws one cell and not its row when a mission makes progress', async (t) => {
    const { app, origin } = await serve(t)
    const mission = app.missions.start({ id: 'a', name: 'steady' })
    mission.executionStarted()
    mission.progress({ taskId: 'part', index: 1, total: 9, status: 'running' })
    const { page } = await visit(t, chrome, origin)
    await page.evaluate(`
      window.touched = new Set()
      new MutationObserver((records) => { for (const { target } of records) touched.add((target.closest ? target : target.parentElement).closest('td')?.className) })
        .observe(document.querySelector('tbody'), { subtree: true, childList: true, characterData: true, attributes: true })
    `)
    for (let index = 2; index <= 8; index++) mission.progress({ taskId: 'part', index, total: 9, status: 'running' })
    await row(page, 'steady').getByText('8/9 part').waitFor()
    const touched = await page.evaluate('[...touched]') as string[]
    t.strictSame(touched.filter((cell) => cell !== 'cell-elapsed number'), ['cell-progress'])
  })

  await t.test('shows ten thousand missions with the rows that are visible only, and their number', async (t) => {
    const { app, origin } = await serve(t, { options: { missions: { maxActive: 10_000 } } as never })
    for (let i = 0; i < 10_000; i++) app.missions.start({ id: `m${i}`, name: `job ${i}` })
    const { page, problems } = await visit(t, chrome, origin)
    await page.locator('table[aria-rowcount="10001"]').waitFor({ timeout: 30_000 })
    t.ok(await page.locator('tr.mission').count() < 80)
    await page.evaluate('scrollTo(0, document.body.scrollHeight)')
    await page.locator('tr.mission[aria-rowindex="10001"]').waitFor()
    t.ok(await page.locator('tr.mission').count() < 80)
    t.strictSame(problems, [])
  })

  await t.test('renders hostile texts as text, and no text breaks its layout', async (t) => {
    const corpus = [
      '<img src=x onerror=alert(1)>', '<script>alert(1)</script>', '<svg onload=alert(1)>', '"><iframe src=javascript:alert(1)>',
      'javascript:alert(1)', '{{constructor.constructor("alert(1)")()}}', '&lt;b&gt;&amp;', '\u001b[31mred\u001b[0m\u0007', 'safe\u202Egnp.exe',
      '\u2066hidden\u2069', 'zero\u200bwidth', 'x'.repeat(200), 'ﷺ'.repeat(60), '👩‍👩‍👧‍👦'.repeat(20), 'Z̸̢̛͉̺͓a̴l̷g̶o̵'.repeat(12), 'two\nlines\ttab'
    ]
    const { app, origin } = await serve(t)
    for (const [index, text] of corpus.entries()) {
      const mission = app.missions.start({ id: `x${index}`, name: text, tags: [text.slice(0, 60)], objective: text, metadata: { text }, startedAt: Date.now() - index * 1_000 })
      mission.planned({ plan: { text: text.repeat(40) } })
      if (index % 2 === 0) mission.fail(Object.assign(new Error(text.repeat(30)), { code: 'E_HOSTILE' }))
      else mission.progress({ taskId: text, index: 1, total: 2, status: 'running' })
    }
    const { page, problems } = await visit(t, chrome, origin)
    await page.locator(`tr.mission[aria-rowindex="${corpus.length + 1}"]`).waitFor({ state: 'attached' })
    const names = await page.locator('.mission-name').allTextContents()
    t.ok(names.includes('<img src=x onerror=alert(1)>'))
    t.notOk(names.some((name) => /[\u0000-\u001f\u202e\u2066\u200b]/.test(name)), 'no name hides or reverses text') // eslint-disable-line no-control-regex
    t.equal(await page.locator('main img, main script, main iframe').count(), 0)
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 800 })
      t.ok(await sideways(page) <= 0, `no sideways scrolling at ${width} px`)
      const heights = await page.locator('tr.mission').evaluateAll((rows) => rows.filter((one) => one.isConnected).map((one) => Math.round(one.getBoundingClientRect().height)))
      t.strictSame(heights, heights.map(() => width > 720 ? 53 : 129), `all rows are equally high at ${width} px`)
    }
    for (const index of corpus.keys()) {
      await page.goto(`${origin}/mission-control/#/m/x${index}`)
      await page.locator('.detail').waitFor()
      for (const summary of await page.locator('.detail summary').all()) await summary.click()
      t.ok(await sideways(page) <= 0, `the details of text ${index} fit`)
    }
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('fits a phone, 320 px and a zoom of 200 %, with targets for fingers', async (t) => {
    const { app, origin } = await serve(t, { setUp: ({ missions }) => missions.handle({ cancel: {}, start: { start: () => missions.start({ name: 'x' }) } }) })
    fill(app)
    // 200 % of a window of 1,280 px is a window of 640 px for the style sheet.
    for (const [width, height] of [[390, 844], [320, 640], [640, 450]] as const) {
      const { page, problems } = await visit(t, chrome, origin, { viewport: { width, height }, hasTouch: true, isMobile: width < 500 })
      await page.evaluate("document.querySelector('table').scrollIntoView()")
      await row(page, 'import customers').waitFor()
      t.ok(await sideways(page) <= 0, `${width} px: no sideways scrolling`)
      t.strictSame(await violations(page), [], `${width} px`)
      const small = await page.locator('button:visible, select:visible, input:visible, summary:visible').evaluateAll((elements) => elements
        .map((element) => ({ box: (element.closest('label') ?? element).getBoundingClientRect(), text: element.textContent!.trim() || element.className }))
        .filter(({ box }) => box.width > 1 && box.height > 1 && box.height < 44).map(({ box, text }) => `${text} ${box.height}`))
      if (width < 500) t.strictSame(small, [], `${width} px: targets of 44 px`)
      await page.goto(`${origin}/mission-control/#/m/run-1`)
      await page.locator('.detail').waitFor()
      t.ok(await sideways(page) <= 0, `${width} px: details fit`)
      t.strictSame(await violations(page), [], `${width} px: details`)
      t.strictSame(problems, [])
    }
  })

  await t.test('follows the color scheme, and the choice of the visitor across visits', async (t) => {
    const { app, origin } = await serve(t)
    fill(app)
    const { page, problems } = await visit(t, chrome, origin, { colorScheme: 'dark', reducedMotion: 'reduce' })
    const background = async () => await page.evaluate('getComputedStyle(document.documentElement).backgroundColor') as string
    const dark = await background()
    await page.locator('.uplot').first().waitFor({ timeout: 20_000 })
    t.strictSame(await violations(page), [], 'dark')
    await page.goto(`${origin}/mission-control/#/m/failed-1`)
    await page.locator('.problem').waitFor()
    t.strictSame(await violations(page), [], 'dark details')
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: /^Theme: auto/ }).click()
    await page.getByRole('button', { name: /^Theme: light/ }).waitFor()
    t.not(await background(), dark)
    t.strictSame(await violations(page), [], 'light')
    await page.reload()
    await page.getByRole('button', { name: /^Theme: light/ }).waitFor()
    const moving = await page.evaluate('document.getAnimations().filter(({ effect }) => effect.getComputedTiming().duration > 1).length')
    t.equal(moving, 0, 'nothing moves for those who asked for less motion')
    t.strictSame(problems, [])
  })

  await t.test('reads the charts as tables too', async (t) => {
    const { app, origin } = await serve(t)
    fill(app)
    const { page, problems } = await visit(t, chrome, origin)
    await page.locator('.uplot').first().waitFor({ timeout: 20_000 })
    t.equal(await page.getByRole('img', { name: /^Active and ended since/ }).count(), 1)
    await page.getByRole('button', { name: /^Show as table.*Active and ended/ }).click()
    await page.getByRole('region', { name: 'Active and ended' }).getByRole('row').nth(1).waitFor()
    t.strictSame(await violations(page), [])
    t.strictSame(problems, [])
  })

  await t.test('that was hidden for an hour shows what is true when it is seen again', async (t) => {
    const { app, origin, dropAll } = await serve(t)
    fill(app)
    const { page, problems } = await visit(t, chrome, origin, { isVirtual: true })
    const show = async (visibility: string) => { await page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${visibility}', configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`) }
    await show('hidden')
    dropAll()
    await page.locator('.connection-text', { hasText: 'paused in the background' }).waitFor()
    app.missions.start({ id: 'meanwhile', name: 'meanwhile' }).fail(new Error('nobody saw it'))
    await page.clock.fastForward('01:00:00')
    t.equal(app.missionControl.wsMetrics().connectionsOpen, 0, 'a page that nobody sees holds no connection')
    await show('visible')
    await row(page, 'meanwhile').getByText('nobody saw it').waitFor({ timeout: 30_000 })
    await page.locator('.connection-text', { hasText: 'live' }).waitFor()
    t.strictSame(problems, [])
  })

  await t.test('keeps what comes while it is paused, and shows it afterwards', async (t) => {
    const { app, origin } = await serve(t)
    fill(app)
    const { page } = await visit(t, chrome, origin)
    await page.getByRole('button', { name: 'Pause' }).click()
    app.missions.start({ id: 'later', name: 'later' })
    await page.waitForTimeout(500)
    t.equal(await row(page, 'later').count(), 0)
    await page.getByRole('button', { name: 'Resume' }).click()
    await row(page, 'later').waitFor()
  })
})
