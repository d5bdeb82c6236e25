"""Figures as people read them: a table on the terminal, JSON for those who compare."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row. `value` is what kaos took, `bare` the same without it (or None), `target` what design asks for."""

    name: str
    value: str
    bare: str = "-"
    ratio: str = "-"
    target: str = "-"
    met: bool | None = None


def seconds(name: str, values: Sequence[float], *, target: float | None = None, bare: Sequence[float] = ()) -> Figure:
    """A duration (the median of several); with `bare`, what is compared to the target is the overhead over it."""
    median = statistics.median(values)
    over = median - statistics.median(bare) if bare else median
    label = "overhead " if bare else ""
    return Figure(
        name,
        f"{median:.3f} s (min {min(values):.3f}, max {max(values):.3f})",
        f"{statistics.median(bare):.3f} s" if bare else "-",
        f"{label}{over:.3f} s" if bare else "-",
        f"≤ {label}{target:g} s" if target is not None else "-",
        None if target is None else over <= target,
    )


def rate(name: str, value: float, *, bare: float | None = None, least: float | None = None) -> Figure:
    """So many a second; `least` is of the rate, or with `bare` of the ratio to it."""
    compared = value / bare if bare else value
    return Figure(
        name,
        f"{value:.1f} /s",
        f"{bare:.1f} /s" if bare else "-",
        f"{compared:.2f} x" if bare else "-",
        f"≥ {least:g}{' x' if bare else ' /s'}" if least is not None else "-",
        None if least is None else compared >= least,
    )


def megabytes(name: str, value: int, *, most: int | None = None) -> Figure:
    """An amount of memory in bytes."""
    met = None if most is None else value <= most * 10**6
    return Figure(name, f"{value / 1e6:.0f} MB", target=f"≤ {most} MB" if most else "-", met=met)


def show(figures: Sequence[Figure]) -> str:
    """The table."""
    rows = [("", "kaos", "bare", "ratio", "target", "met")]
    marks = {None: "", True: "yes", False: "NO"}
    rows += [(each.name, each.value, each.bare, each.ratio, each.target, marks[each.met]) for each in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
