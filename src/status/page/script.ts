/**
 * The page's script, which the page does without. It asks for what is new every two seconds, one request at a time and
 * none while nobody looks, and changes what is different, so that focus and selection stay where they are.
 */
export const SCRIPT = `
'use strict'
;(() => {
  const INTERVAL = 2000
  const live = document.getElementById('live')
  const form = document.querySelector('form[role=search]')
  let timer
  let running = false
  let again = false

  document.documentElement.classList.add('script')

  function say(state, text) {
    live.dataset.state = state
    if (live.textContent !== text) live.textContent = text
  }

  function renew(old, fresh) {
    if (old.isEqualNode(fresh)) return
    if (old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh.cloneNode(true))
      return
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue
      return
    }
    for (const { name } of [...old.attributes])
      if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name)
    for (const { name, value } of [...fresh.attributes])
      if (old.getAttribute(name) !== value) old.setAttribute(name, value)
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]]
    after.forEach((child, index) => {
      if (before[index]) renew(before[index], child)
      else old.append(child.cloneNode(true))
    })
    before.slice(after.length).forEach(child => child.remove())
  }

  async function refresh() {
    clearTimeout(timer)
    if (document.hidden) return
    if (running) {
      again = true
      return
    }
    running = true
    try {
      const answer = await fetch('status/live' + location.search, {
        cache: 'no-store',
        signal: AbortSignal.timeout(10000),
      })
      const text = await answer.text()
      if (answer.status === 401) say('off', 'logged out')
      else if (!answer.ok) say('off', 'the mirror answers ' + answer.status)
      else {
        const fresh = new DOMParser().parseFromString(text, 'text/html')
        for (const part of fresh.querySelectorAll('[data-live]')) {
          const old = document.getElementById(part.id)
          if (old) renew(old, part)
        }
        say('on', 'live')
      }
    } catch {
      say('off', 'disconnected')
    }
    running = false
    if (again) {
      again = false
      void refresh()
    } else if (!document.hidden) timer = setTimeout(refresh, INTERVAL)
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) clearTimeout(timer)
    else void refresh()
  })

  function show(parameters) {
    const query = parameters.toString()
    history.replaceState(null, '', query ? '?' + query : location.pathname)
    void refresh()
  }

  let typing
  function search(event) {
    event.preventDefault()
    clearTimeout(typing)
    show(new URLSearchParams(new FormData(form)))
  }
  form?.addEventListener('submit', search)
  form?.addEventListener('change', search)
  form?.addEventListener('input', event => {
    clearTimeout(typing)
    typing = setTimeout(() => search(event), 200)
  })

  async function copy(button) {
    const text = button.dataset.copy
    let copied
    try {
      await navigator.clipboard.writeText(text)
      copied = true
    } catch {
      // Without TLS there is no clipboard but this one.
      const area = document.createElement('textarea')
      area.value = text
      area.className = 'sr'
      document.body.append(area)
      area.select()
      copied = document.execCommand('copy')
      area.remove()
      button.focus()
    }
    button.textContent = copied ? 'copied' : 'failed'
    setTimeout(() => (button.textContent = 'copy'), 1500)
  }

  document.addEventListener('click', event => {
    const button = event.target.closest('[data-copy]')
    if (button) void copy(button)
    const page = event.target.closest('[data-page]')
    if (!page || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    show(new URLSearchParams(new URL(page.href).search))
  })

  void refresh()
})()
`
