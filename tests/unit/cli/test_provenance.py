"""kaos train provenance: every form tells the same lineage, whatever its texts hold."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaos.cli import drawing, provenance
from kaos.cli.wire import Node
from tests.unit.cli.conftest import Call
from tests.unit.cli.gateway import Gateway, record, run_id

MODEL = "e23a2f1_9fd9d03:cebf65"
KINDS = ("source", "build", "image", "data", "params", "training", "trial", "model")
EDGES = [
    *(("source", "build"), ("build", "image"), ("image", "training"), ("data", "training"), ("params", "training")),
    *(("training", "trial"), ("trial", "model")),
]
SVG = "{http://www.w3.org/2000/svg}"


def lineage(**labels: str) -> Any:
    nodes = [{"id": kind, "kind": kind, "label": labels.get(kind, f"the {kind}"), "facts": {}} for kind in KINDS]
    nodes[0]["facts"] = {"author": "ada@engine", "commit": "c" * 32}
    return {"model": MODEL, "workspace": "mnist", "run": run_id(1), "nodes": nodes, "edges": EDGES}


def boxes(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """By the kind that stands in it: left, top, right and bottom of each node's frame."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect")
        [kind, *_] = (text.text for text in group.iter(f"{SVG}text"))
        assert frame is not None
        assert kind
        x, y, width, height = (float(frame.attrib[name]) for name in ("x", "y", "width", "height"))
        found[kind] = (x, y, x + width, y + height)
    return found


@pytest.fixture
def told(gateway: Gateway) -> Gateway:
    gateway.add_workspace("mnist")
    gateway.runs = [record(1, "succeeded")]
    gateway.lineage = lineage()
    return gateway


def test_the_tree_grows_from_the_model_to_the_bundles(told: Gateway, call: Call) -> None:
    out = call("train", "provenance", "-m", MODEL, "-w", "mnist").out

    assert [line.lstrip("│ └├─").split()[0] for line in out.splitlines() if "the " in line] == [
        *("model", "trial", "training", "image", "build", "source", "data", "params")
    ]
    assert "author ada@engine" in out
    assert "run=" not in told.queries[-1]


def test_a_run_may_be_named(told: Gateway, call: Call) -> None:
    call("train", "provenance", "-m", MODEL, "-w", "mnist", "-i", "0")

    assert told.queries[-1].endswith(f"/models/e23a2f1_9fd9d03%3Acebf65/provenance?run={run_id(1)}")


@pytest.mark.parametrize(
    ("options", "beginning"),
    [
        (("--format", "json"), '{"model"'),
        (("--format", "dot"), "digraph"),
        (("--format", "svg"), "<?xml"),
        (("-o", "x.svg"), "<?xml"),
        (("-o", "x.GV"), "digraph"),
        (("-o", "x.json"), '{"model"'),
        (("-o", "x"), "model"),
        (("-o", "x.svg", "--format", "text"), "model"),
    ],
)
def test_the_form_is_as_asked_or_by_the_file_s_ending(
    told: Gateway, call: Call, tmp_path: Path, options: tuple[str, ...], beginning: str
) -> None:
    result = call("train", "provenance", "-m", MODEL, "-w", "mnist", *options)

    assert result.code == 0, result.err
    written = (tmp_path / options[1]).read_text() if options[0] == "-o" else result.out
    assert written.startswith(beginning)


def test_the_drawing_goes_from_left_to_right_and_nothing_overlaps() -> None:
    drawn = provenance.svg(lineage(data="d" * 100, params="p"))
    placed = boxes(drawn)
    root = ET.fromstring(drawn)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])

    assert set(placed) == set(KINDS)
    for used, made in EDGES:
        assert placed[used][2] < placed[made][0], f"{used} stands left of {made}"
    for one, other in combinations(placed.values(), 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
    assert all(left >= 0 and right <= width for left, _, right, _ in placed.values())
    assert all(top >= 0 and low <= height for _, top, _, low in placed.values())
    assert len([*root.iter(f"{SVG}path")]) == len(EDGES) + 1  # and the arrow's head


@given(st.dictionaries(st.sampled_from(KINDS), st.text(st.characters(codec=None), max_size=60)))
def test_any_text_makes_well_formed_drawings(labels: dict[str, str]) -> None:
    assert set(boxes(provenance.svg(lineage(**labels)))) == set(KINDS)


@given(st.text(st.characters(codec=None), max_size=30))
def test_any_text_stays_within_its_string_in_dot(label: str) -> None:
    written = provenance.dot(lineage(model=label))

    assert all(
        re.fullmatch(r'  "(?:[^"\\]|\\.)*"( \[label=| -> )"(?:[^"\\]|\\.)*"\]?;', line) for line in _body(written)
    )


def _body(written: str) -> list[str]:
    return written.splitlines()[3:-1]


def test_a_lineage_of_nothing_is_an_empty_drawing() -> None:
    ET.fromstring(drawing.svg("none", [], []))


def test_a_node_that_nothing_is_made_of_stands_last() -> None:
    nodes = [Node(id=name, kind=name, label=name, facts={}) for name in "abc"]
    placed = boxes(drawing.svg("t", nodes, [("a", "b")]))

    assert placed["a"][2] < placed["b"][0]
    assert placed["c"][0] == placed["b"][0]


def test_json_is_what_the_gateway_told(told: Gateway, call: Call) -> None:
    out = call("train", "provenance", "-m", MODEL, "-w", "mnist", "--format", "json").out

    assert json.loads(out)["nodes"] == told.lineage["nodes"]
