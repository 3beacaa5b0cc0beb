import { html, type Html } from './html.js'

export interface ConnectOptions {
  /** Where clients find the mirror: `http://mirror.internal:5000`. */
  readonly url: string
  /** Who looks, as the example's user. */
  readonly user: string | undefined
  /** A name behind the mirror's address. */
  readonly image: string | undefined
}

/** What to paste to use this mirror. */
export function connect({ url, user, image }: ConnectOptions): Html {
  const { host } = new URL(url)
  const name = user ?? 'USER'
  const snippets = [
    { title: 'Log in', command: `docker login ${host} -u ${quoted(name)}` },
    { title: 'Pull', command: `docker pull ${host}/${image ?? 'REPOSITORY:TAG'}` },
    ...['docker', 'containerd', 'podman', 'buildkit', 'kubernetes'].map(client => ({
      title: `Set up ${client}`,
      command: `ecr-mirror client-config ${client} --url ${url} --user ${quoted(name)}`,
    })),
  ]
  return html`<section id="connect" aria-labelledby="connect-title">
    <header><h2 id="connect-title">Use this mirror</h2></header>
    <dl class="snippets">
      ${snippets.map(
        ({ title, command }) =>
          html`<div>
            <dt>${title}</dt>
            <dd>
              <code>${command}</code
              ><button type="button" class="copy" data-copy="${command}" aria-label="Copy: ${title}">
                copy
              </button>
            </dd>
          </div>`,
      )}
    </dl>
  </section>`
}

/** As a shell takes it for one word, whatever a user's name is. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
