"""The page's style sheet: one column, light and dark, wide and narrow, and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1d2228; --muted: #5a636e; --line: #dfe3e8; --lost: #c3c9d1;
  --was: #9aa3ad; --now: #0b6bb0; --note: #fff6df; --note-line: #d9a21b;
  --c0: #0b6bb0; --c1: #d9822b; --c2: #2a9d78; --c3: #b5538f; --c4: #7a6bc4; --c5: #c2a516; --c6: #4fa9dc;
  --c7: #a4552a; --cx: #6c757f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --panel: #1c2026; --ink: #e4e7eb; --muted: #9ea7b2; --line: #2d333b; --lost: #454d57;
    --was: #6f7984; --now: #5aaae6; --note: #2a2413; --note-line: #c49a2c;
    --c0: #4d9fde; --c1: #e69a4c; --c2: #45bd97; --c3: #d27db2; --c4: #a195e8; --c5: #d8bd3f; --c6: #8accf2;
    --c7: #cd8258; --cx: #8c96a1;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 3rem 0 .25rem; padding-top: .75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
p { margin: .4rem 0 .9rem; max-width: 46rem; }
a { color: var(--now); }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.lead { font-size: 1.1rem; margin: .5rem 0 0; max-width: none; }
.about, footer { color: var(--muted); font-size: .875rem; }
footer { margin-top: 3rem; padding-top: .75rem; border-top: 1px solid var(--line); }
nav { margin: 1rem 0 0; font-size: .9rem; }
nav a { display: inline-block; margin: 0 1rem .25rem 0; }
.note { background: var(--note); border-left: 4px solid var(--note-line); padding: .6rem .9rem; margin: 1.25rem 0; }
.note p { margin: .15rem 0; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem;
  margin: 1.5rem 0 0; padding: 0;
}
.tiles div { background: var(--panel); border-radius: .4rem; padding: .6rem .8rem; }
.tiles dt { color: var(--muted); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.45rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tiles dd small { display: block; font-size: .85rem; color: var(--muted); }
figure { margin: 1rem 0; }
figcaption { color: var(--muted); font-size: .875rem; margin: .35rem 0 0; max-width: 46rem; }
.legend {
  display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; margin: .25rem 0 .6rem; font-size: .875rem; max-width: none;
}
.legend span { overflow-wrap: anywhere; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
.funnel {
  display: grid; grid-template-columns: minmax(6rem, max-content) 1fr max-content; gap: .2rem .9rem;
  align-items: center;
}
.funnel .what { grid-column: 1; font-weight: 600; overflow-wrap: anywhere; }
.funnel .bar { grid-column: 2; }
.funnel .rows { grid-column: 3; text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.funnel .rows small { color: var(--muted); display: inline-block; min-width: 3.4em; }
.funnel .why {
  grid-column: 2 / -1; color: var(--muted); font-size: .85rem; margin: 0 0 .7rem; max-width: none;
  overflow-wrap: anywhere;
}
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
.scroll:focus-visible { outline: 2px solid var(--now); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
table.wide { width: 100%; }
caption { text-align: left; color: var(--muted); font-size: .875rem; padding-bottom: .3rem; }
caption span { display: block; max-width: calc(100vw - 2rem); }
th, td {
  padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line);
}
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 500; }
tbody th small { color: var(--muted); font-weight: 400; white-space: normal; }
tbody th[scope=rowgroup] { font-weight: 600; padding-top: .9rem; }
td.n, th.n { text-align: right; padding-left: .6rem; }
.wide td.n, .wide th.n { width: 1%; }
td.bar { width: 40%; }
td.bar div { display: grid; align-items: center; min-width: 8rem; min-height: 1.5em; }
td.text { overflow-wrap: anywhere; white-space: normal; min-width: 10rem; }
tr.sum td, tr.sum th { font-weight: 600; }
svg { display: block; overflow: visible; }
svg text { font-size: 11px; fill: var(--muted); }
svg text.tick { text-anchor: middle; }
.grid { stroke: var(--line); } .axis { stroke: var(--muted); } .mark { stroke: var(--ink); stroke-width: 2; }
.pair h3 { margin-top: 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 2.5rem; }
details { border-bottom: 1px solid var(--line); padding: .45rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
summary:focus-visible { outline: 2px solid var(--now); outline-offset: 2px; }
summary small { color: var(--muted); }
details ul { margin: .4rem 0; padding-left: 1.2rem; font-size: .9rem; overflow-wrap: anywhere; }
.sample {
  background: var(--panel); border-radius: .4rem; padding: .55rem .8rem; margin: .5rem 0; font-size: .9rem;
  overflow-wrap: anywhere;
}
.sample p { margin: .15rem 0; max-width: none; }
.sample .id { color: var(--muted); font-size: .85rem; }
.sample q { quotes: none; display: block; }
@media (max-width: 36rem) {
  body { padding: 1.25rem .9rem 3rem; }
  h1 { font-size: 1.4rem; }
  .funnel { grid-template-columns: 1fr max-content; grid-auto-flow: dense; }
  .funnel .rows { grid-column: 2; }
  .funnel .bar, .funnel .why { grid-column: 1 / -1; }
}
@media print {
  body { max-width: none; padding: 0; }
  nav { display: none; }
  figure, tr, details { break-inside: avoid; }
}
"""
#: Classes of colours, for SVG and for the legend's squares.
STYLE += "\n".join(
    f".{name} {{ fill: var(--{name}); background: var(--{name}); }}"
    for name in ("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "cx", "lost", "was", "now")
)
