/** The page's style: one column on a phone, light or dark as the reader's system is. */
export const STYLE = `
:root {
  --paper: #f7f7f4; --card: #ffffff; --ink: #1d2226; --soft: #59626b; --line: #e3e3dd; --faint: #f0f0eb;
  --cached: #0f766e; --fetched: #c2781c; --good: #166a3a; --fair: #8a5a00; --bad: #b3261e;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131618; --card: #1b1f22; --ink: #e7e6e2; --soft: #9da6ae; --line: #2c3136; --faint: #23282c;
    --cached: #3fa79b; --fetched: #d99a45; --good: #6cc38f; --fair: #dcb160; --bad: #f28b82;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.25rem clamp(0.75rem, 3vw, 2rem) 3rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 0.9375rem/1.5 Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, p, dl, dd, ul, ol { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: 1.125rem; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 0.9375rem; font-weight: 600; }
h2.quiet { font-size: 0.8125rem; font-weight: 400; color: var(--soft); margin-bottom: 0.5rem; }
a { color: var(--cached); text-underline-offset: 0.2em; }
code { font: 0.875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--cached); outline-offset: 2px; border-radius: 3px; }
.sr { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

.top { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 1rem; margin-bottom: 1.25rem; }
.top .summary { color: var(--soft); flex: 1 1 16rem; }
#live { display: flex; align-items: center; gap: 0.4rem; color: var(--soft); font-size: 0.8125rem; min-width: 3rem; }
#live::before { content: ''; width: 0.5rem; height: 0.5rem; border-radius: 50%; background: var(--line); }
#live[data-state=on]::before { background: var(--good); }
#live[data-state=off] { color: var(--bad); }
#live[data-state=off]::before { background: var(--bad); }
.who { font-weight: 500; }

main { display: grid; gap: 1rem; grid-template-columns: minmax(0, 1fr); }
.pair { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.125rem; min-width: 0; }
section > header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem; margin-bottom: 0.625rem; }
section > header p { color: var(--soft); font-size: 0.8125rem; }
#numbers { background: none; border: 0; padding: 0; }
.tiles { display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 1fr)); }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 0.75rem 0.875rem; }
.tile dt { color: var(--soft); font-size: 0.8125rem; }
.tile .figure { font-size: 1.375rem; line-height: 1.3; font-weight: 600; letter-spacing: -0.015em; white-space: nowrap; }
.tile .day { color: var(--soft); white-space: nowrap; }
.note { color: var(--soft); font-size: 0.8125rem; }

.plot { position: relative; }
.plot svg { display: block; width: 100%; height: 8.5rem; }
.plot .most { position: absolute; top: -0.125rem; left: 0; color: var(--soft); font-size: 0.75rem; background: var(--card); padding-right: 0.375rem; border-radius: 3px; }
.cached { fill: var(--cached); } .fetched { fill: var(--fetched); } .empty { fill: transparent; }
.plot g:hover .empty { fill: var(--faint); }
.plot svg { border-bottom: 1px solid var(--line); }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 0.75rem; margin-top: 0.25rem; }
.key { display: inline-block; width: 0.625rem; height: 0.625rem; border-radius: 2px; margin: 0 0.3rem 0 0.6rem; }
.key.cached { background: var(--cached); } .key.fetched { background: var(--fetched); }

.line { display: flex; justify-content: space-between; align-items: baseline; gap: 0.75rem; }
.name { min-width: 0; overflow-wrap: anywhere; font-weight: 500; }
.name code { font-weight: 400; color: var(--soft); white-space: nowrap; }
.amount { color: var(--soft); white-space: nowrap; flex: none; }
.nothing, .more { color: var(--soft); }
progress { appearance: none; display: block; width: 100%; height: 0.375rem; margin: 0.25rem 0; border: 0; border-radius: 3px; background: var(--faint); overflow: hidden; }
progress::-webkit-progress-bar { background: var(--faint); }
progress::-webkit-progress-value { background: var(--cached); transition: inline-size 0.6s linear; }
progress::-moz-progress-bar { background: var(--cached); }
.bars, .facts { display: grid; gap: 0.75rem; }
.facts li + li { border-top: 1px solid var(--line); padding-top: 0.625rem; }
.facts { gap: 0.625rem; }
details { margin-top: 0.625rem; border-top: 1px solid var(--line); padding-top: 0.5rem; }
summary { color: var(--soft); cursor: pointer; margin-bottom: 0.5rem; }
.host, .text { overflow-wrap: anywhere; }
.text { font-size: 0.8125rem; }

.ranks { display: grid; gap: 0.5rem; }
.ranks li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0.125rem 0.75rem; }
.ranks svg { grid-column: 1 / -1; width: 100%; height: 0.25rem; border-radius: 2px; background: var(--faint); display: block; }
.ranks rect { fill: var(--cached); }
.ranks .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

.state { white-space: nowrap; font-weight: 500; }
.state::before { content: '●'; font-size: 0.625rem; vertical-align: 0.1em; margin-right: 0.35rem; }
.state.good { color: var(--good); } .state.fair { color: var(--fair); } .state.bad { color: var(--bad); }
.warn { color: var(--fair); }
.chip { display: inline-block; background: var(--faint); border-radius: 4px; padding: 0 0.35rem; font-size: 0.8125rem; font-weight: 400; white-space: nowrap; }

.search { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-bottom: 0.625rem; }
.search label:first-child { flex: 1 1 14rem; }
input, select, button, .button {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.3rem 0.625rem; max-width: 100%;
}
input { width: 100%; }
input::placeholder { color: var(--soft); opacity: 1; }
button, .button { cursor: pointer; text-decoration: none; display: inline-block; }
button:hover, .button:hover { background: var(--faint); }
table { width: 100%; border-collapse: collapse; margin-top: 0.5rem; }
th, td { text-align: left; vertical-align: baseline; padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); }
th.wide, td.wide { padding-left: 0.75rem; }
thead th { font-size: 0.8125rem; font-weight: 400; color: var(--soft); white-space: nowrap; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
.copying { text-align: right; padding-right: 0; width: 1%; }
.narrow { display: none; }
.copy { display: none; font-size: 0.75rem; line-height: 1.3; padding: 0.125rem 0.4rem; color: var(--soft); min-width: 3.5rem; }
.script .copy { display: inline-block; }
.script .search button { display: none; }
.pager { display: flex; justify-content: space-between; gap: 1rem; margin-top: 0.75rem; color: var(--soft); }
.off { visibility: hidden; }

.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: 0.25rem 1.5rem; margin-top: 0.5rem; }
.pairs div { display: flex; justify-content: space-between; gap: 0.75rem; }
.pairs dt { color: var(--soft); white-space: nowrap; }
.pairs dd { text-align: right; }
.snippets { display: grid; gap: 0.375rem; }
.snippets div { display: grid; grid-template-columns: 9rem minmax(0, 1fr); gap: 0 0.75rem; align-items: baseline; }
.snippets dt { color: var(--soft); }
.snippets dd { display: flex; gap: 0.75rem; align-items: baseline; justify-content: space-between; min-width: 0; }

@media (max-width: 40rem) {
  body { padding-top: 0.875rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.5rem; }
  .tile:first-child:nth-last-child(odd) { grid-column: 1 / -1; }
  .top .who { order: 1; margin-left: auto; }
  .top .summary { order: 2; flex: 1 1 100%; }
  .top #live { order: 0; }
  section { padding: 0.875rem; }
  .wide { display: none; }
  .narrow { display: block; font-weight: 400; font-size: 0.8125rem; color: var(--soft); }
  .snippets div { grid-template-columns: minmax(0, 1fr); }
  .plot svg { height: 7rem; }
  .key:first-child { margin-left: 0; }
}
@media (prefers-reduced-motion: reduce) { progress::-webkit-progress-value { transition: none; } }
`
