"""`--follow`: shows a run's stages and what they print while it goes on, until it is over."""

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast, get_args

import click

from kaos.cli import runs, terminal
from kaos.cli.client import Client
from kaos.cli.info import measured, parameters, score
from kaos.cli.logs import lines, names_trials, texts
from kaos.cli.streams import resumed
from kaos.cli.terminal import safe
from kaos.cli.wire import Event, PartKind, Run, Stage
from shared.errors import KaosError

# A log is collected before its run is final; more than this, and the store that holds it is in trouble.
_LAST_LINES_SECONDS: Final = 20.0
# How far readers may be ahead of a slow terminal.
_AHEAD: Final = 1000
_MODELS_SHOWN: Final = 5


class _Told(NamedTuple):
    """What was read of a stream: an item, or its end (with the error that ended it)."""

    stream: str
    item: Any = None
    ended: bool = False


def follow(gateway: Client, run: Run, *, as_json: bool) -> Run:
    """Shows what happens until the run is final, and returns it then. Ctrl-C leaves the run alone.

    Raises Unreachable where the stack goes away and does not come back.
    """
    stages = _Stages(run)
    for stream, item, _ in _happenings(gateway, run, raw=as_json):
        if as_json:
            click.echo(json.dumps({"event" if stream == "events" else "line": item}))
        elif stream == "events":
            for text in stages.told(item):
                click.echo(text)
        else:
            click.echo(click.style("│ ", dim=True) + item)
    return gateway.run(run["workspace"], run["id"])


def outcome(run: Run) -> Iterator[str]:
    """How a run ended: its models with their metrics, or the reason why there are none."""
    took = terminal.duration(runs.seconds(run))
    if runs.succeeded(run):
        yield f"{click.style('✔', fg='green')} Run {run['id']} succeeded in {took}{safe(_nothing_new(run))}"
    else:
        reason = f": {run['error']['message']} [{run['error']['code']}]" if run["error"] else ""
        yield f"{click.style('✘', fg='red')} Run {run['id']} {run['state']} after {took}{safe(reason)}"
    models = [trial for trial in run["trials"] if trial["model"]]
    for trial in models[:_MODELS_SHOWN]:
        shown = [parameters(trial["params"])] if trial["params"] else []
        shown += [measured(trial["metrics"])] if trial["metrics"] else []
        yield safe(f"  {trial['model']}  {', '.join(shown)}")
    if len(models) > _MODELS_SHOWN:
        yield f"  … and {len(models) - _MODELS_SHOWN} more"
    if models:
        yield f"  All: kaos train info -r {run['id']}   Download: kaos train get -r {run['id']}"


def _nothing_new(run: Run) -> str:
    if run["same_as"]:
        model = next((trial["model"] for trial in run["trials"] if trial["model"]), "none")
        more = f" and {len(run['trials']) - 1} more" if len(run["trials"]) > 1 else ""
        return f": already trained: run {run['same_as']}, model {model}{more} (--force trains again)"
    return ": nothing new to train, Pachyderm has had every trial done" if run["train"]["skipped"] else ""


def _happenings(gateway: Client, run: Run, *, raw: bool) -> Iterator[_Told]:
    """Events and log lines in the order in which they come, until the run and its logs have ended."""
    told: queue.Queue[_Told] = queue.Queue(_AHEAD)
    read: set[str] = {"events"}
    ended: set[str] = set()
    _start(told, "events", _events(gateway, run["workspace"], run["id"]))
    while ended < read:
        try:
            happened = told.get(timeout=_LAST_LINES_SECONDS if "events" in ended else None)
        except queue.Empty:
            return
        if happened.ended:
            ended.add(happened.stream)
            if happened.stream == "events" and happened.item is not None:
                raise happened.item
            continue
        stage = _begun(happened)
        if stage is not None and stage not in read:
            read.add(stage)
            _start(told, stage, _log(gateway, run, stage, raw=raw))
        yield happened


def _start(told: "queue.Queue[_Told]", stream: str, items: Iterator[Any]) -> None:
    def read() -> None:
        error = None
        try:
            for item in items:
                told.put(_Told(stream, item))
        except KaosError as raised:
            error = raised
        finally:
            told.put(_Told(stream, error, ended=True))

    # Daemons: nobody waits for them when the user has left.
    threading.Thread(target=read, name=f"kaos-{stream}", daemon=True).start()


def _events(gateway: Client, workspace: str, run: str) -> Iterator[Event]:
    return resumed(lambda last: gateway.events(workspace, run, follow=True, after=last["sequence"] if last else ""))


def _log(gateway: Client, run: Run, stage: Stage, *, raw: bool) -> Iterator[Any]:
    found = lines(gateway, run, stage, follow=True)
    return found if raw else texts(found, with_trial=names_trials(run, stage), whole=True)


def _begun(happened: _Told) -> Stage | None:
    """The stage whose log there is from now on."""
    if happened.stream != "events" or not str(happened.item["type"]).startswith("kaos.job."):
        return None
    stage = happened.item["data"]["stage"]
    return cast("Stage", stage) if stage in get_args(Stage) else None


class _Stages:
    """Turns events into lines of progress; remembers when each stage began, and what was told already."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._begun: dict[str, str] = {}
        self._finished: set[str] = set()
        self._metrics: dict[str, dict[str, float | str]] = {}
        self._reports: dict[str, int] = {}

    def told(self, event: Event) -> Iterator[str]:
        """The lines for one event: none, where it says nothing new."""
        data: dict[str, Any] = event["data"]
        match event["type"]:
            case "kaos.commit.finished" if not data.get("error"):
                yield from self._once(f"ingest {data['repo']} {data['bundle']}", self._run["created"], event, good=True)
            case "kaos.job.started" if data["stage"] not in self._begun:
                self._begun[data["stage"]] = event["time"]
                yield f"{click.style('▸', fg='cyan')} {data['stage']}"
            case "kaos.job.finished":
                good = data["outcome"] == "succeeded"
                text = data["stage"] if good else f"{data['stage']} {data['outcome']}"
                yield from self._once(text, self._begun.get(data["stage"], event["time"]), event, good=good)
            case "kaos.metrics.reported":
                yield from self._changed(data)
            case "kaos.run.changed" if data["state"] == "waiting":
                yield f"{click.style('…', fg='yellow')} waiting for {_missing(self._run)}"
            case _:
                return

    def _changed(self, data: dict[str, Any]) -> Iterator[str]:
        """The metrics of a trial that are not as they were told before; nothing of what comes late."""
        if data["seq"] < self._reports.get(data["trial"], -1):
            return
        self._reports[data["trial"]] = data["seq"]
        known = self._metrics.setdefault(data["trial"], {})
        changed = {name: value for name, value in data["metrics"].items() if known.get(name) != value}
        known |= changed
        if changed:
            step = "" if data.get("step") is None else f"step {score(data['step'])}  "
            yield click.style("∙ ", fg="cyan") + safe(f"{data['trial']}  {step}{measured(changed)}")

    def _once(self, text: str, begun: str, event: Event, *, good: bool) -> Iterator[str]:
        if text not in self._finished:
            self._finished.add(text)
            mark = click.style("✔", fg="green") if good else click.style("✘", fg="red")
            yield f"{mark} {safe(text):<32} {terminal.duration(runs.span(begun, event['time']))}"


def _missing(run: Run) -> str:
    source, data = "source (kaos train deploy -s SOURCE_DIR)", "data (kaos train deploy -d DATA_DIR, or -m MANIFEST)"
    bringing: tuple[tuple[set[PartKind], str], ...] = (({"source"}, source), ({"data", "manifest"}, data))
    wanted = [text for kinds, text in bringing if not kinds & set(run["expected"])]
    return f"{' and '.join(wanted)}; Ctrl-C stops the watching, not the run"
