"""A tape as a picture that moves: one SVG file, without a script, a font or anything else from elsewhere.

Each content of a row is drawn once, and CSS shows it from when to when it was there; all rows of the terminal's window
are moved up as it scrolls. Whoever wants no motion, and whatever knows no animation, sees how it ended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby, pairwise

from infra_orch.report.rows import Look, Row, Rows
from infra_orch.report.tape import Tape

MOST_BYTES = 140_000
"""A picture that is larger is drawn anew from fewer moments: in a pull request it is to be there at once."""

LONGEST = 40.0
"""Seconds that a picture lasts at most; what took longer goes by faster."""

_PAUSE = 1.2
"""Nothing that happens is seen for longer than that: a wait is as long as one that is longer."""
_END = 6.0
_WIDTHS = (60, 120)
_HEIGHTS = (4, 32)
_FPS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.2)
_CELL, _LINE, _SIZE = 7.8, 18, 13
_EDGE = 14
_TOP = 34
_COLOURS = ("#5b5f6b", "#ec7070", "#7ec878", "#e2be68", "#78aaec", "#c88cdc", "#60c4cc", "#d6dae0")
_STYLE = f"""\
text{{font:{_SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d6dae0}}
.b{{font-weight:700}}.d{{fill:#9298a6}}
""" + "".join(f".c{number}{{fill:{colour}}}" for number, colour in enumerate(_COLOURS))
_GAP = re.compile("(?: {2,})")


@dataclass(frozen=True)
class Span:
    """What a row held from one moment to another, by the numbers of the moments; *until* is None to the end."""

    number: int
    row: Row
    since: int
    until: int | None


@dataclass
class Film:
    """What is seen when: *moments* in seconds, spans of rows, and the first row that is seen from each moment on."""

    width: int
    height: int
    moments: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    tops: list[int] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it lasts, with the pause at its end."""
        return self.moments[-1] + _END


def picture(tape: Tape, title: str) -> str:
    """Return what was written onto *tape* as an SVG document that moves; beyond MOST_BYTES, from fewer moments.

    *title* says what it shows to whoever cannot see it.
    """
    pieces = _played([(max(0.0, at), text) for at, text in tape.pieces] or [(0.0, "")])
    text = ""
    for fps in _FPS:
        text = _svg(_film(tape, pieces, fps), title)
        if len(text.encode()) <= MOST_BYTES:
            break
    return text


def _played(pieces: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The pieces at the times at which they are shown: waits are cut, and the whole is as long as it may be."""
    times = [0.0]
    for (before, _), (after, _) in pairwise(pieces):
        times.append(times[-1] + min(_PAUSE, max(0.0, after - before)))
    factor = min(1.0, LONGEST / times[-1]) if times[-1] else 1.0
    return [(time * factor, text) for time, (_, text) in zip(times, pieces, strict=True)]


def _film(tape: Tape, pieces: Sequence[tuple[float, str]], fps: float) -> Film:
    """What is seen of *pieces*, looked at *fps* times a second at most."""
    longest = max((len(line) for _, text in pieces for line in text.splitlines()), default=0)
    width = tape.width or min(_WIDTHS[1], max(_WIDTHS[0], longest))
    rows = Rows(width)
    film = Film(width, 0)
    held: dict[int, tuple[Row, int]] = {}
    bottoms: list[int] = []
    for number, (at, text) in enumerate(pieces):
        rows.feed(text)
        if number + 1 < len(pieces) and int(pieces[number + 1][0] * fps) == int(at * fps):
            continue
        moment = len(film.moments)
        film.moments.append(at)
        bottoms.append(_last(rows, bottoms[-1] if bottoms else 0))
        for changed in rows.changed:
            row, since = held.get(changed, ((), moment))
            if row != rows[changed]:
                if row:
                    film.spans.append(Span(changed, row, since, moment))
                held[changed] = rows[changed], moment
        rows.changed.clear()
    film.spans += [Span(number, row, since, None) for number, (row, since) in held.items() if row]
    film.height = min(max(_HEIGHTS[0], *bottoms), tape.height or _HEIGHTS[1], _HEIGHTS[1])
    film.tops = [max(0, bottom - film.height) for bottom in bottoms]
    film.spans = [span for span in film.spans if _is_seen(span, film)]
    return film


def _last(rows: Rows, before: int) -> int:
    """How many rows there are down to the last that holds anything; a terminal does not scroll back."""
    number = len(rows)
    while number > before and not rows[number - 1]:
        number -= 1
    return max(before, number)


def _is_seen(span: Span, film: Film) -> bool:
    until = len(film.moments) if span.until is None else span.until
    return any(top <= span.number < top + film.height for top in film.tops[span.since : until])


def _svg(film: Film, title: str) -> str:
    width = round(film.width * _CELL + 2 * _EDGE)
    height = film.height * _LINE + _TOP + _EDGE
    keyframes = _Keyframes(film)
    rows = "\n".join(_drawn(span, keyframes) for span in sorted(film.spans, key=lambda span: (span.number, span.since)))
    scroll = keyframes.scroll()
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>{_escaped(title)}</title>
<desc>{_escaped(f"It ends with: {_ending(film)}")}</desc>
<style>
{_STYLE}
.gone{{visibility:hidden}}
@media (prefers-reduced-motion:no-preference){{
{scroll}{keyframes.text()}}}
</style>
<clipPath id="window"><rect x="0" y="{_TOP - 4}" width="{width}" height="{film.height * _LINE + 8}"/></clipPath>
<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="#18181f" stroke="#5b5f6b"/>
<g fill="#5b5f6b"><circle cx="18" cy="17" r="5"/><circle cx="35" cy="17" r="5"/><circle cx="52" cy="17" r="5"/></g>
<g clip-path="url(#window)"><g class="rows" transform="translate(0 {-film.tops[-1] * _LINE})">
{rows}
</g></g>
</svg>
"""


def _ending(film: Film) -> str:
    """The last line that is seen in the end."""
    last = max((span for span in film.spans if span.until is None), key=lambda span: span.number, default=None)
    return "".join(cell.char for cell in last.row) if last else "nothing"


class _Keyframes:
    """From when to when what is shown, as CSS; one animation for all that comes and goes together."""

    def __init__(self, film: Film) -> None:
        self._film = film
        self._names: dict[tuple[int, int | None], str] = {}

    def name(self, span: Span) -> str:
        """The class of what is there as long as *span*; empty for what always is."""
        if not span.since and span.until is None:
            return ""
        return self._names.setdefault((span.since, span.until), f"k{len(self._names)}")

    def text(self) -> str:
        """The animations of all classes."""
        return "".join(
            f".{name}{{animation:{name} {self._film.seconds:.2f}s step-end infinite}}\n"
            f"@keyframes {name}{{{''.join(self._frames(since, until))}}}\n"
            for (since, until), name in self._names.items()
        )

    def _frames(self, since: int, until: int | None) -> Iterator[str]:
        if since:
            yield "0%{visibility:hidden}"
        yield f"{self._share(since)}{{visibility:visible}}"
        if until is not None:
            yield f"{self._share(until)},to{{visibility:hidden}}"

    def scroll(self) -> str:
        """How the rows move up."""
        tops = self._film.tops
        if not tops[-1]:
            return ""
        moved = [number for number in range(len(tops)) if not number or tops[number] != tops[number - 1]]
        frames = "".join(
            f"{self._share(number)}{{transform:translateY({-tops[number] * _LINE}px)}}" for number in moved
        )
        end = f"to{{transform:translateY({-tops[-1] * _LINE}px)}}"
        return (
            f".rows{{animation:rows {self._film.seconds:.2f}s step-end infinite}}\n@keyframes rows{{{frames}{end}}}\n"
        )

    def _share(self, moment: int) -> str:
        at = self._film.moments[moment] if moment else 0.0
        return f"{100 * at / self._film.seconds:.2f}%"


def _drawn(span: Span, keyframes: _Keyframes) -> str:
    """A row as text elements, which stand where a terminal has them, whatever the font."""
    name = keyframes.name(span)
    classes = " ".join(filter(None, (name, "gone" if span.until is not None else "")))
    y = _TOP + span.number * _LINE + _SIZE
    texts = "".join(
        f'<text x="{_EDGE + start * _CELL:.1f}" y="{y}" textLength="{cells * _CELL:.1f}"{_class(look)}>'
        f"{_escaped(text)}</text>"
        for start, cells, text, look in _runs(span.row)
    )
    return f'<g class="{classes}">{texts}</g>' if classes else texts


def _class(look: Look) -> str:
    names = [
        *(["b"] if look.bold else []),
        *(["d"] if look.dim and look.colour is None else []),
        *([f"c{look.colour}"] if look.colour is not None else []),
    ]
    return f' class="{" ".join(names)}"' if names else ""


def _runs(row: Row) -> Iterator[tuple[int, int, str, Look]]:
    """Yield what looks alike and is parted by one space at most: its first cell, how many cells, the text, the look."""
    start = 0
    for look, cells in groupby(row, key=lambda cell: cell.look):
        chars = [cell.char for cell in cells]
        # A wide character's second cell is empty; what nobody writes holds its place while gaps are looked for.
        text = "".join(char or "\0" for char in chars)
        at = 0
        for gap in [*_GAP.finditer(text), None]:
            end = gap.start() if gap else len(text)
            part = text[at:end]
            stripped = part.strip(" ")
            if stripped:
                first = start + at + part.index(stripped[0])
                yield first, len(stripped), stripped, look
            at = gap.end() if gap else end
        start += len(chars)


def _escaped(text: str) -> str:
    """The text without what no XML document may hold."""
    return escape(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "", text), quote=False)
