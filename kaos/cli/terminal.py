"""What a terminal is given: text that can't command it, times and durations as people read them, and tables."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

# C0 and C1 control codes could move the cursor, set the title or answer for the user; the bidirectional ones make
# text read as what it is not. A tab is harmless.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\t")}
_BIDI = {code: f"\\u{code:04x}" for code in (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_SEPARATORS = {0x2028: "\\u2028", 0x2029: "\\u2029"}
_ESCAPES = _CONTROL | _BIDI | _SEPARATORS

_MINUTE = 60
_HOUR = 3600
_KILO = 1000
_GAP = "  "


def safe(text: str) -> str:
    """`text` with every control code written out: nothing that user code printed commands the terminal."""
    return text.translate(_ESCAPES).encode(errors="backslashreplace").decode()


def done(text: str) -> None:
    """A step that is complete."""
    click.echo(f"{click.style('✔', fg='green')} {text}")


def moment(text: str) -> datetime:
    """An ISO 8601 time, aware; what names no zone is UTC."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def clock(text: str) -> str:
    """An ISO 8601 time in this machine's zone, as `2026-07-29 15:25:46`."""
    return f"{moment(text).astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `3 m 04 s`, `2 h 05 m`."""
    if seconds < 1:
        return f"{max(seconds, 0):.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} m {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} m"


def amount(size: int) -> str:
    """`512 B`, `1.5 kB`, `3.2 GB`."""
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= _KILO and (larger := next(units, "")):
        value, unit = value / _KILO, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def facts(found: Mapping[str, str]) -> None:
    """Writes names and values, one pair a line."""
    width = max(map(len, found)) + 2
    for name, value in found.items():
        click.echo(click.style(f"{name}:".ljust(width), bold=True) + (safe(value) or "-"))


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a titled table. Written by hand: importing rich takes as long as the whole of `kaos train deploy`."""
    cells = [[safe(cell) for cell in row] for row in rows]
    widths = [max(map(columns, column)) for column in zip(headers, *cells, strict=True)]
    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    click.echo(f"\n{click.style(title, bold=True)}\n{rule}")
    click.echo(click.style(_line(headers, widths), dim=True))
    for row in cells:
        click.echo(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - columns(cell)) for cell, width in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip()


def columns(text: str) -> int:
    """Columns of a monospaced font: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
