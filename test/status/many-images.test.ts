import t from 'tap'
import { startEcr } from '../ecr/ecr.js'
import { mirrorOf } from '../support/mirror.js'
import { launchBrowser, openPage, WITHOUT_BROWSER } from './support/browser.js'
import { fillCache } from './support/filled-cache.js'
import { basic, cacheDirectory, look, POLICY, until, USERS, words } from './support/looking.js'

const IMAGES = 10_000

t.test(`${IMAGES} images are searched and turned over a page at a time`, async t => {
  t.setTimeout(300_000)
  const ecr = await startEcr()
  t.teardown(() => ecr.close())
  const directory = await cacheDirectory(t)
  await fillCache(directory, ecr.host, IMAGES)
  const { app } = await mirrorOf(t, ecr, {
    users: USERS,
    logLevel: 'warn',
    settings: { cache: { directory, scrub: { every: 'never' } }, policy: POLICY },
  })
  const begun = performance.now()
  const first = await look(app, '/status', 'watcher')
  t.match(words(first.text), 'The cache is being looked through', 'nobody waits for the look')
  await until(async () => (await look(app, '/status/live', 'watcher')).text.includes('images, as of'))
  const looked = performance.now()
  const shown = words((await look(app, '/status', 'watcher')).text)
  t.match(shown, /10,000 images, as of .*Page 1 of 400/)
  t.match(shown, 'complete')

  const times: number[] = []
  let longest = 0
  for (let count = 0; count < 20; count++) {
    const at = performance.now()
    const number = 5_000 + 17 * count
    const name = `main/team-${number % 40}/service-${number % 1_000}:build-${number}`
    const { text } = await look(app, `/status/live?q=team-${number % 40}+build-${number}`, 'watcher')
    times.push(performance.now() - at)
    longest = Math.max(longest, text.length)
    t.match(text, `>${name}<`)
    t.match(words(text), '1 of 10,000 images')
  }
  t.ok(longest < 100_000, 'an answer is as long as its rows')
  t.match(words((await look(app, '/status?page=400&sort=name', 'watcher')).text), 'Page 400 of 400')
  const narrow = words((await look(app, '/status', 'narrow')).text)
  t.match(narrow, '0 images', 'of those that a pattern leaves out there are none')
  t.comment(
    `the first look took ${(looked - begun).toFixed()} ms, an answer ${(times.sort((a, b) => a - b)[10] ?? 0).toFixed(1)} ms, ${longest} bytes`,
  )

  await t.test('in a browser', { skip: WITHOUT_BROWSER }, async t => {
    const browser = await launchBrowser()
    t.teardown(() => browser.close())
    const { page, complaints } = await openPage(t, browser, `${app.operationsUrl}/status?sort=name`, {
      extraHTTPHeaders: { authorization: basic('watcher') },
    })
    await page.getByRole('link', { name: 'Next' }).click()
    await until(async () => /Page 2 of 400/.test(await page.locator('#image-rows').innerText()))
    await page.getByRole('searchbox').fill('build-9999')
    await until(async () => (await page.locator('#image-rows tbody tr').count()) === 1)
    t.match(await page.locator('#image-rows tbody').innerText(), 'main/team-39/service-999:build-9999')
    t.same(complaints, [])
  })
})
