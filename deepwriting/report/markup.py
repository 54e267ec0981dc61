"""HTML that cannot be injected into: every piece of text is escaped unless it was made here."""

from __future__ import annotations

import html

from deepwriting.report.text import visible

#: Elements without content; SVG's among them are closed at once.
_EMPTY = {"meta", "link", "br"}


class Markup(str):
    """HTML that may stand in a page as it is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """A text as HTML: harmless, and with its invisible characters made visible; HTML as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(visible(text), quote=True))


def element(name: str, *children: str, **attributes: object) -> Markup:
    """One element.

    Args:
        name: its name.
        *children: texts, which are escaped, and HTML made here, which is not.
        **attributes: ``class_="note"``, ``aria_label="…"``; ``None`` leaves one out, ``True`` gives it no value.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if name in _EMPTY:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{''.join(map(escaped, children))}</{name}>")


def joined(*children: str) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(map(escaped, children)))


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-") if key != "viewBox" else key
    if value is True:
        return f" {name}"
    shown = f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(visible(shown), quote=True)}"'
