"""The look of the simulator's pages: one style sheet, one frame. No script, no font, no file from elsewhere."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import quote

from payments.simulator.server import Answer

_STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f5efe4; --card: #fffdf9; --ink: #20272e; --soft: #5b6570; --line: #e0d6c5; --tint: #f3ebdc;
  --accent: #0b6159; --accent-ink: #fff; --accent-soft: #d9ece8; --bad: #a32718; --bad-soft: #fbe6e1;
  --wait: #7a4d00; --wait-soft: #faedcd; --shadow: 0 1px 2px #3d2f1414, 0 12px 32px #3d2f141a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #13171b; --card: #1c2228; --ink: #ece8e1; --soft: #a5aeb7; --line: #343c45; --tint: #242b33;
    --accent: #6bd0bf; --accent-ink: #06241f; --accent-soft: #173f3a; --bad: #ff9d8d; --bad-soft: #48211b;
    --wait: #f2c572; --wait-soft: #43331275; --shadow: 0 1px 2px #0008, 0 12px 32px #0006;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); min-height: 100vh; min-height: 100dvh;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--accent); text-underline-offset: .18em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; margin: 0; overflow-wrap: anywhere; }
h1 { font-size: 1.45rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; }
h3 { font-size: .95rem; }
p { margin: 0; }
code, kbd { font: .92em/1.4 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
kbd { background: var(--card); border: 1px solid var(--line); border-bottom-width: 2px; border-radius: .35rem;
  padding: .1rem .4rem; letter-spacing: .08em; }
header { display: flex; align-items: center; gap: .65rem; padding: 1.1rem 1.25rem; max-width: 72rem; margin: auto; }
header svg { flex: none; }
header .name { font-weight: 700; font-size: 1.1rem; letter-spacing: -.01em; }
header .tag { margin-left: auto; font-size: .8rem; color: var(--soft); border: 1px dashed var(--soft);
  border-radius: 99px; padding: .2rem .7rem; white-space: nowrap; }
main { max-width: 72rem; margin: auto; padding: .25rem 1.25rem 3.5rem; display: grid; gap: 1.5rem; }
main > *, .card > *, .grid > * { min-width: 0; }
main.narrow { max-width: 29rem; padding-top: 3vh; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 1rem; box-shadow: var(--shadow);
  padding: 1.5rem; display: grid; gap: 1.1rem; grid-template-columns: minmax(0, 1fr); align-content: start; }
.lead { color: var(--soft); }
.amount { font-size: 2.5rem; font-weight: 700; letter-spacing: -.03em; line-height: 1.1;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .35rem 1.25rem; margin: 0; padding: .9rem 0;
  border-block: 1px solid var(--line); }
dt { color: var(--soft); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
dd code { font-size: .82em; }
form { display: grid; gap: .9rem; }
label { font-weight: 600; }
input { font: 600 1.5rem/1.2 ui-monospace, Menlo, Consolas, monospace; letter-spacing: .35em; width: 100%;
  text-align: center; padding: .7rem; color: inherit; background: var(--page); border: 1.5px solid var(--soft);
  border-radius: .7rem; }
input[aria-invalid] { border-color: var(--bad); }
.field { display: grid; gap: .4rem; }
.hint { font-size: .9rem; color: var(--soft); }
.note { border-radius: .7rem; padding: .7rem .9rem; background: var(--accent-soft); }
.note.bad { background: var(--bad-soft); color: var(--bad); font-weight: 600; }
.note.wait { background: var(--wait-soft); color: var(--wait); }
.choices { display: grid; gap: .5rem; border: 0; margin: 0; padding: 0; }
.choices legend { font-weight: 600; padding: 0 0 .5rem; }
.choice { display: flex; gap: .7rem; align-items: baseline; font-weight: 400; border: 1.5px solid var(--line);
  border-radius: .7rem; padding: .6rem .8rem; cursor: pointer; }
.choice input { width: auto; margin: 0; accent-color: var(--accent); }
.choice small { display: block; color: var(--soft); font-size: .88rem; }
.choice:has(:checked) { border-color: var(--accent); background: var(--accent-soft); }
.choice:has(:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
.buttons { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem; }
.button { font: inherit; font-weight: 600; line-height: 1.3; min-height: 3rem; padding: .7rem 1rem; cursor: pointer;
  border-radius: .7rem; border: 1.5px solid var(--accent); background: transparent; color: var(--accent);
  text-align: center; text-decoration: none; display: block; }
.button.main { background: var(--accent); color: var(--accent-ink); }
.button:hover { filter: brightness(1.08); }
.grid { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.scroll { overflow-x: auto; margin: 0 -1.5rem; padding: 0 1.5rem; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .82rem; white-space: nowrap; }
th, td { padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); vertical-align: baseline; }
th:first-child { min-width: 5rem; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child > * { border-bottom: 0; }
td:nth-child(2):last-child, td:first-child:nth-last-child(2) { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.chip { display: inline-block; border-radius: 99px; padding: .08rem .6rem; font-size: .82rem; font-weight: 600;
  background: var(--tint); white-space: nowrap; }
.chip.good { background: var(--accent-soft); color: var(--accent); }
.chip.bad { background: var(--bad-soft); color: var(--bad); }
.chip.wait { background: var(--wait-soft); color: var(--wait); }
.facts { display: flex; flex-wrap: wrap; gap: .4rem 1.5rem; color: var(--soft); font-size: .92rem; }
.facts span { overflow-wrap: anywhere; }
.empty { color: var(--soft); padding: .5rem 0; }
@media (max-width: 30rem) {
  header, main { padding-inline: 1rem; }
  header .tag span { display: none; }
  .card { padding: 1.2rem; border-radius: .85rem; }
  .scroll { margin: 0 -1.2rem; padding: 0 1.2rem; }
}
"""

_LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="34" height="34" viewBox="0 0 34 34" aria-hidden="true">'
    '<rect width="34" height="34" rx="9" fill="#0b6159"/><circle cx="24" cy="10.5" r="3.6" fill="#f6c667"/>'
    '<path d="M0 23c6-7 11-7 17-2s11 4 17-2v6a9 9 0 0 1-9 9H9a9 9 0 0 1-9-9z" fill="#e9cf9c"/>'
    '<path d="M0 27.5c7-4.500 12-3 18-.5s11 1.500 16-2a9 9 0 0 1-9 9H9a9 9 0 0 1-9-6.500z" fill="#d2a968"/></svg>'
)

_ICON: Final = "data:image/svg+xml," + quote(_LOGO)

_HEADERS: Final = {
    # No form-action: browsers apply it to the redirect back to the shop too.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(title: str, content: str, *, name: str, is_narrow: bool = False, status: int = 200) -> Answer:
    """Put content, which is HTML, into the frame; title and name are text."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="{_ICON}"><style>{_STYLE}</style></head><body>'
        f'<header>{_LOGO}<span class="name">{escape(name)}</span>'
        '<span class="tag">Simulator<span> · no real money</span></span></header>'
        f"<main{' class=narrow' if is_narrow else ''}>{content}</main></body></html>"
    )
    return Answer(
        status=status, body=html.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS
    )
