"""Draws a lineage as SVG: layers from left to right, by a layout of its own. Pure: nodes and edges in, text out.

Written by hand, since what there is needs Graphviz on the machine. Lineages have a dozen nodes and no cycles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from kaos.cli.terminal import columns, safe
from kaos.cli.wire import Edge, Node

# Of a monospaced font, whose width can be told without measuring: 0.6 em a column, a little more to be safe.
_FONT: Final = 12
_COLUMN: Final = 7.4
_FONTS: Final = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"
_LINE: Final = 17
_PADDING: Final = 12
_STRIP: Final = 5
_GAP_X: Final = 56
_GAP_Y: Final = 22
_MARGIN: Final = 24
# Longer text is cut, and whole in the tooltip.
_MOST_COLUMNS: Final = 40
_ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#6b7280"/></marker></defs>'
)
_COLOURS: Final = {
    "source": "#2563eb",
    "build": "#7c3aed",
    "image": "#7c3aed",
    "manifest": "#0d9488",
    "fetch": "#0d9488",
    "data": "#0d9488",
    "params": "#d97706",
    "training": "#dc2626",
    "trial": "#dc2626",
    "model": "#16a34a",
}
_NO_CHARACTERS: Final = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
_OTHER_COLOUR: Final = "#6b7280"


@dataclass(frozen=True)
class _Box:
    """A node in its place: `x` and `y` are of the upper left corner."""

    node: Node
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


def svg(title: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> str:
    """The drawing, well-formed XML whatever the texts hold."""
    boxes = _placed(nodes, edges)
    width = max((box.x + box.width for box in boxes.values()), default=0) + _MARGIN
    height = max((box.y + box.height for box in boxes.values()), default=0) + _MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    drawn = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_FONTS}" font-size="{_FONT}">',
        f"<title>{_text(title)}</title>",
        _ARROW,
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        *(_edge(boxes[used], boxes[made]) for used, made in edges),
        *(_node(box) for box in boxes.values()),
        "</svg>",
    ]
    return "\n".join(drawn) + "\n"


def _placed(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[str, _Box]:
    """Each layer a column, centred on the tallest; within it the nodes in the order of what they lead to."""
    layers = _layers(nodes, edges)
    lines = {node["id"]: _lines(node) for node in nodes}
    heights = [sum(_height(lines[name]) for name in layer) + _GAP_Y * (len(layer) - 1) for layer in layers]
    by_id, boxes, x = {node["id"]: node for node in nodes}, {}, float(_MARGIN)
    for layer, height in zip(layers, heights, strict=True):
        width = max(columns(line) for name in layer for line in lines[name]) * _COLUMN + 2 * _PADDING + _STRIP
        y = _MARGIN + (max(heights) - height) / 2
        for name in layer:
            boxes[name] = _Box(by_id[name], lines[name], x, y, width, _height(lines[name]))
            y += boxes[name].height + _GAP_Y
        x += width + _GAP_X
    return boxes


def _layers(nodes: Sequence[Node], edges: Sequence[Edge]) -> list[list[str]]:
    """The ids by their longest way to the end, farthest first: what is used last stands next to what uses it."""
    made_of_it: dict[str, list[str]] = {node["id"]: [] for node in nodes}
    for used, made in edges:
        made_of_it[used].append(made)
    distance: dict[str, int] = {}

    def to_the_end(name: str) -> int:
        if name not in distance:
            distance[name] = max((to_the_end(made) + 1 for made in made_of_it[name]), default=0)
        return distance[name]

    for node in nodes:
        to_the_end(node["id"])
    layers: list[list[str]] = [[] for _ in range(max(distance.values(), default=-1) + 1)]
    for node in nodes:
        layers[distance[node["id"]]].append(node["id"])
    place = {name: float(number) for number, name in enumerate(made_of_it)}
    for layer in layers[1:]:
        layer.sort(key=lambda name: sum(place[made] for made in made_of_it[name]) / len(made_of_it[name]))
        place |= {name: float(number) for number, name in enumerate(layer)}
    return layers[::-1]


def _lines(node: Node) -> tuple[str, ...]:
    """What stands in a node: its kind, its label, its facts."""
    facts = (f"{name}: {text}" for name, text in node["facts"].items())
    return tuple(_cut(safe(text)) for text in (node["kind"], node["label"], *facts))


def _height(lines: tuple[str, ...]) -> float:
    return len(lines) * _LINE + 2 * _PADDING - (_LINE - _FONT)


def _node(box: _Box) -> str:
    colour = _COLOURS.get(box.node["kind"], _OTHER_COLOUR)
    whole = "\n".join((box.node["label"], *(f"{name}: {text}" for name, text in box.node["facts"].items())))
    frame = f'x="{box.x:.1f}" y="{box.y:.1f}" height="{box.height:.1f}"'
    drawn = [
        f"<g><title>{_text(whole)}</title>",
        f'<rect {frame} width="{box.width:.1f}" rx="6" fill="#f8fafc" stroke="#cbd5e1"/>',
        f'<rect {frame} width="{_STRIP}" rx="2" fill="{colour}"/>',
    ]
    styles = [f'fill="{colour}"', 'fill="#0f172a" font-weight="bold"']
    for number, line in enumerate(box.lines):
        style = styles[number] if number < len(styles) else 'fill="#475569"'
        x, y = box.x + _STRIP + _PADDING, box.y + _PADDING + _FONT * 0.85 + number * _LINE
        drawn.append(f'<text x="{x:.1f}" y="{y:.1f}" {style} xml:space="preserve">{_text(line)}</text>')
    return "\n".join([*drawn, "</g>"])


def _edge(used: _Box, made: _Box) -> str:
    x1, y1 = used.x + used.width, used.y + used.height / 2
    x2, y2 = made.x - 2, made.y + made.height / 2
    bend = (x2 - x1) / 2
    path = f"M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#94a3b8" stroke-width="1.5" marker-end="url(#arrow)"/>'


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_COLUMNS else f"{text[: _MOST_COLUMNS - 1]}…"


def _text(text: str) -> str:
    """As XML may hold it: without control codes and the two that are no characters; line ends are fine."""
    return escape("\n".join(safe(line) for line in text.split("\n")).translate(_NO_CHARACTERS))
