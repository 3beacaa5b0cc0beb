import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Browser, Page } from 'playwright-core'
import { startMirror, type MirrorUnderTest } from '../support/mirror.js'
import { ask } from '../support/requests.js'
import { DESKTOP, launchBrowser, openPage, PHONE, WITHOUT_BROWSER } from './support/browser.js'
import { basic, cacheDirectory, POLICY, until, USERS } from './support/looking.js'

t.setTimeout(400_000)

const SIZE = 4 * 1024 * 1024

async function startStand(t: Test): Promise<MirrorUnderTest> {
  const directory = await cacheDirectory(t)
  return startMirror(t, {
    users: USERS,
    ecr: { knobs: { layerInaccessibleUntilTagged: false } },
    upstream: { name: 'faraway' },
    settings: { cache: { directory: directory }, policy: POLICY },
  })
}

function pull({ url }: MirrorUnderTest, path: string): Promise<{ readonly status: number }> {
  return ask(url + path, { headers: { authorization: basic('carrier') } })
}

const textOf = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).innerText()).replace(/\s+/g, ' ')

const watcher = { username: 'watcher', password: 'second long password' }

t.test('in a browser', { skip: WITHOUT_BROWSER }, async t => {
  const browser: Browser = await launchBrowser()
  t.teardown(() => browser.close())

  await t.test('the numbers change while they are looked at, without a reload', async t => {
    const stand = await startStand(t)
    await stand.ecr.putImage('team/quince', 'v1')
    const { page, complaints } = await openPage(t, browser, `${stand.app.operationsUrl}/status`)
    await until(async () => (await textOf(page, '#live')) === 'live')
    await page.evaluate('window.sameAsBefore = true')
    t.match(await textOf(page, '#numbers'), /Requests 0 /)
    t.equal((await pull(stand, '/v2/team/quince/manifests/v1')).status, 200)
    await until(async () => /Requests 1 /.test(await textOf(page, '#numbers')))
    t.equal(await page.evaluate('window.sameAsBefore'), true)
    t.same(complaints, [])
  })

  await t.test('the bar of a download moves, and is told to those who cannot see it', async t => {
    const stand = await startStand(t)
    const { digest } = await stand.ecr.putBlob('team/quince', randomBytes(SIZE))
    stand.ecr.knobs.s3.slow = 150_000
    const pulled = pull(stand, `/v2/team/quince/blobs/${digest}`)
    const { page, complaints } = await openPage(t, browser, `${stand.app.operationsUrl}/status`)
    const bar = page.getByRole('progressbar', { name: 'A layer' })
    const value = async (): Promise<number> => Number(await bar.getAttribute('value'))
    const first = await until(async () => (await bar.count()) > 0 && (await value()))
    const second = await until(async () => ((await value()) > first ? value() : undefined))
    t.ok(second < SIZE)
    stand.ecr.knobs.s3.slow = undefined
    await stand.app.close(AbortSignal.abort())
    await pulled.catch(() => undefined)
    await until(async () => (await textOf(page, '#live')) === 'disconnected')
    t.same(
      complaints.filter(each => !each.includes('ERR_CONNECTION_REFUSED')),
      [],
    )
  })

  await t.test('names come with a login, and a search finds them by the keyboard alone', async t => {
    const stand = await startStand(t)
    for (const name of ['team/quince', 'other/medlar']) {
      const { config } = await stand.ecr.putImage(name, 'v1', { label: name })
      for (const path of ['manifests/v1', `blobs/${config.digest}`])
        t.equal((await pull(stand, `/v2/${name}/${path}`)).status, 200)
    }
    const { page, context, complaints } = await openPage(t, browser, `${stand.app.operationsUrl}/status`, {
      httpCredentials: watcher,
    })
    t.equal(await page.locator('body').getByText('team/quince').count(), 0)
    await page.keyboard.press('Tab')
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Log in')
    await page.keyboard.press('Enter')
    await page.waitForURL('**/status')
    await until(async () => (await page.locator('#image-rows tbody tr').count()) === 2)
    for (let tabs = 0; tabs < 10; tabs++) {
      if ((await page.evaluate('document.activeElement.name')) === 'q') break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.type('medlar')
    await until(async () => (await page.locator('#image-rows tbody tr').count()) === 1)
    t.match(await textOf(page, '#image-rows'), /1 of 2 images.*faraway\/other\/medlar:v1 linux\/amd64/)
    t.equal(await page.evaluate('document.activeElement.name'), 'q', 'the focus stays')
    t.equal(new URL(page.url()).search, '?q=medlar&sort=asked', 'the address can be kept')
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.getByRole('button', { name: 'Copy the pull command of faraway/other/medlar:v1' }).focus()
    await page.keyboard.press('Enter')
    const command = `docker pull ${new URL(stand.url).host}/faraway/other/medlar:v1`
    await until(async () => (await page.evaluate('navigator.clipboard.readText()')) === command)
    t.same(
      complaints.filter(each => !each.includes('401')),
      [],
    )
  })

  await t.test('nothing is asked while nobody looks', async t => {
    const stand = await startStand(t)
    const { page } = await openPage(t, browser, 'about:blank')
    await page.clock.install()
    let asked = 0
    page.on('request', request => {
      if (request.url().includes('/status/live')) asked++
    })
    await page.goto(`${stand.app.operationsUrl}/status`)
    await until(async () => (await textOf(page, '#live')) === 'live')
    await page.clock.runFor(3_000)
    await until(async () => asked >= 2)
    const turn = (hidden: boolean): string =>
      `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true })
       document.dispatchEvent(new Event('visibilitychange'))`
    await page.evaluate(turn(true))
    // What was under way may end, and plans nothing then.
    await page.waitForLoadState('networkidle')
    const before = asked
    await page.clock.runFor(120_000)
    t.equal(asked, before)
    await page.evaluate(turn(false))
    await until(async () => asked > before)
  })

  await t.test('it fits a phone and a desk, is light and dark, and needs no script', async t => {
    const stand = await startStand(t)
    const long = `team/${'a-rather-long-name/'.repeat(6)}quince`
    await stand.ecr.putImage(long, 'v1.2.3-with-a-long-suffix')
    await pull(stand, `/v2/${long}/manifests/v1.2.3-with-a-long-suffix`)
    stand.ecr.knobs.answer.BatchGetImage = [{ status: 500, times: 9 }]
    await pull(stand, `/v2/${long}/manifests/none`)
    const url = `${stand.app.operationsUrl}/status`
    const extraHTTPHeaders = { authorization: basic('watcher') }
    const papers = new Set<unknown>()
    for (const viewport of [PHONE, DESKTOP, { width: 320, height: 600 }]) {
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page, complaints } = await openPage(t, browser, url, {
          viewport,
          colorScheme,
          extraHTTPHeaders,
        })
        await until(async () => (await page.locator('#image-rows tbody tr').count()) === 1)
        t.equal(
          await page.evaluate('document.documentElement.scrollWidth'),
          viewport.width,
          `${viewport.width} ${colorScheme}`,
        )
        papers.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'))
        t.same(await page.evaluate(CONTRASTS), [], `what is written can be read, ${colorScheme}`)
        t.same(complaints, [])
      }
    }
    t.equal(papers.size, 2)

    const { page } = await openPage(t, browser, url, { javaScriptEnabled: false, extraHTTPHeaders })
    await page.getByRole('searchbox').fill('nothing-of-that-name')
    await page.getByRole('button', { name: 'Search' }).click()
    t.match(await textOf(page, '#image-rows'), '0 of 1 image')
    t.equal(await page.getByRole('button', { name: /copy/i }).count(), 0, 'what does nothing is not there')
  })
})

/** Texts with less contrast to what is behind them than WCAG 2.2 asks for (1.4.3, AA: 4.5 to 1). */
const CONTRASTS = `(() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const paper = channels(getComputedStyle(at).backgroundColor)
      if (paper[3] !== 0) return paper
    }
    return [255, 255, 255]
  }
  const found = []
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.nodeValue.trim())
    if (!own || element.closest('script, style, svg, .sr')) continue
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) found.push(element.className + ' ' + element.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2))
  }
  return found
})()`
