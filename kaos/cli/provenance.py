"""`kaos train provenance`: what a model was made from, as text, JSON, DOT or SVG."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from kaos.cli import drawing, terminal
from kaos.cli.options import chosen, client, in_workspace, of_run, workspace_of
from kaos.cli.terminal import safe
from kaos.cli.wire import Node, Provenance

_SUFFIXES: Final = {".txt": "text", ".json": "json", ".dot": "dot", ".gv": "dot", ".svg": "svg"}


@click.command()
@click.option("-m", "--model_id", "--model-id", "model", required=True, help="The model, as `kaos train info` has it.")
@of_run
@click.option("--format", "form", type=click.Choice(["text", "json", "dot", "svg"]), help="Else by -o's ending; text.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it into this file.")
@in_workspace
def provenance(*, model: str, ind: int | None, run: str, form: str | None, output: Path | None, workspace: str) -> None:
    """Show what a model was made from: its code and who deployed it, its image, data and hyperparams, its training.

    Without -i or -r, of the newest run that trained the model.
    """
    gateway, place = client(), workspace_of(workspace)
    found = chosen(gateway, place, ind, run)["id"] if run or ind is not None else ""
    lineage = gateway.provenance(place, model, found)
    written = _FORMS[form or (_SUFFIXES.get(output.suffix.lower(), "text") if output else "text")](lineage)
    if output is None:
        click.echo(written, nl=False)
    else:
        output.write_text(click.unstyle(written), encoding="utf-8")
        terminal.done(f"The lineage of {safe(lineage['model'])} is in {safe(str(output))}.")


def text(lineage: Provenance) -> str:
    """A tree that grows from the model down to the bundles."""
    nodes = {node["id"]: node for node in lineage["nodes"]}
    ends = [name for name in nodes if name not in {used for used, _ in lineage["edges"]}]
    return "".join(f"{line}\n" for end in ends for line in _branches(end, nodes, lineage))


def dot(lineage: Provenance) -> str:
    """A graph for Graphviz, from left to right."""
    nodes = (f"  {_quoted(node['id'])} [label={_quoted(_words(node))}];" for node in lineage["nodes"])
    edges = (f"  {_quoted(used)} -> {_quoted(made)};" for used, made in lineage["edges"])
    head = ("digraph provenance {", "  rankdir=LR;", '  node [shape=box, fontname="monospace"];')
    return "\n".join((*head, *nodes, *edges, "}")) + "\n"


def svg(lineage: Provenance) -> str:
    """A drawing."""
    return drawing.svg(f"Provenance of {lineage['model']}", lineage["nodes"], lineage["edges"])


def _json(lineage: Provenance) -> str:
    return json.dumps(lineage) + "\n"


_FORMS: Final[dict[str, Callable[[Provenance], str]]] = {"text": text, "json": _json, "dot": dot, "svg": svg}


def _branches(name: str, nodes: dict[str, Node], lineage: Provenance, indent: str = "") -> Iterator[str]:
    """The lines of a node and of all that it was made of."""
    node, above = nodes[name], [used for used, made in lineage["edges"] if made == name]
    yield f"{click.style(node['kind'], bold=True)} {safe(node['label'])}"
    rail = f"{'│' if above else ' '}   "
    for fact, value in node["facts"].items():
        yield f"{indent}{rail}{click.style(fact, dim=True)} {safe(value)}"
    for used in above:
        last = used == above[-1]
        lines = _branches(used, nodes, lineage, indent + ("   " if last else "│  "))
        yield f"{indent}{'└─ ' if last else '├─ '}{next(lines)}"
        yield from lines


def _words(node: Node) -> str:
    return "\n".join((f"{node['kind']} {node['label']}", *(f"{name}: {fact}" for name, fact in node["facts"].items())))


def _quoted(words: str) -> str:
    r"""A string of DOT: line ends are `\l`, which sets the line to the left."""
    lines = [safe(line).replace("\\", "\\\\").replace('"', '\\"') for line in words.split("\n")]
    return '"' + "\\l".join(lines) + ("\\l" if len(lines) > 1 else "") + '"'
