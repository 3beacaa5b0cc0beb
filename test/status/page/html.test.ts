import t from 'tap'
import { html } from '../../../src/status/page/html.js'

t.test('what is put in is text, whatever it looks like', async t => {
  const hostile = `<script>alert("1")</script> & 'x' \`y\``
  t.equal(
    html`<p title="${hostile}">${hostile}</p>`.toString(),
    `<p title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; &#96;y&#96;">&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39; &#96;y&#96;</p>`,
  )
})

t.test('what cannot be seen, or turns the order of what can, is shown to be there', async t => {
  t.equal(html`${'a\u202eb\u0000c\u200bd\ne\u2028f'}`.toString(), 'a\ufffdb\ufffdc\ufffdd e f')
})

t.test(
  'templates go into templates, lists one after the other, and nothing for what is not there',
  async t => {
    t.equal(html`a ${[1, 2].map(each => html`<b>${each}</b>`)} z`.toString(), 'a <b>1</b><b>2</b> z')
    t.equal(html`a${undefined}b${false}c${''}d${0}`.toString(), 'abcd0')
  },
)
