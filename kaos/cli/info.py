"""`kaos train info`: one run: its stages and their time, and its models, best first."""

import json
from collections.abc import Iterator, Mapping
from typing import Final

import click

from kaos.cli import runs, terminal
from kaos.cli.options import as_json, chosen, client, in_workspace, of_run, workspace_of
from kaos.cli.terminal import safe
from kaos.cli.wire import FINAL, Run, Trial

_PAGE: Final = 10
_COSTS: Final = ("time", "cpu", "memory")
# What fits into a line or two; the others are asked for by -s, or by --json.
_METRICS_SHOWN: Final = 8
_NAMES_SHOWN: Final = 50


@click.command()
@of_run
@click.option("-s", "--sort", "metric", default="", help="Metric to sort by; else the first by name.")
@click.option("--ascending", is_flag=True, help="Lowest first, as for a loss.")
@click.option("-p", "--page", type=click.IntRange(min=1), default=1, help="Page of models, from 1.")
@in_workspace
@as_json
def info(*, ind: int | None, run: str, metric: str, ascending: bool, page: int, workspace: str, as_json: bool) -> None:
    """A run's stages, its models and their metrics: the newest run's without -i or -r."""
    found = chosen(client(), workspace_of(workspace), ind, run)
    metrics = sorted({name for trial in found["trials"] for name in trial["metrics"]})
    if metric and metric not in metrics:
        raise click.UsageError(f"The run has no metric {metric!r}; it has: {', '.join(metrics) or 'none'}.")
    metric = metric or next(iter(metrics), "")
    found["trials"] = ranked(found["trials"], metric, ascending=ascending)
    if as_json:
        click.echo(json.dumps(found))
        return
    _summary(found, metrics)
    _stages(found)
    _models(found, metric, page)


def ranked(trials: list[Trial], metric: str, *, ascending: bool) -> list[Trial]:
    """Best first: numbers before text before nothing; equal ones in the order of their ids."""

    def key(trial: Trial) -> tuple[int, float, str, str]:
        value = trial["metrics"].get(metric)
        if isinstance(value, int | float) and value == value:  # noqa: PLR0124 - NaN is no score
            return 0, (value if ascending else -value), "", trial["id"]
        return (1, 0.0, value, trial["id"]) if isinstance(value, str) else (2, 0.0, "", trial["id"])

    return sorted(trials, key=key)


def parameters(params: dict[str, object]) -> str:
    """`degree=3, kernel=rbf`; a dash for none."""
    texts = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sorted(params.items())
    )
    return ", ".join(texts) or "-"


def score(value: float | str | None) -> str:
    """A metric in at most six digits."""
    return "-" if value is None else f"{value:.6g}" if isinstance(value, int | float) else value


def measured(metrics: Mapping[str, float | str]) -> str:
    """`accuracy 0.91, loss 0.25`: metrics by name, so many as people read."""
    names = sorted(metrics)
    more = [f"and {len(names) - _METRICS_SHOWN} more"] if len(names) > _METRICS_SHOWN else []
    return ", ".join([f"{name} {score(metrics[name])}" for name in names[:_METRICS_SHOWN]] + more)


def _summary(run: Run, metrics: list[str]) -> None:
    facts = {
        "Run": run["id"],
        "Job ID": run["train"]["job"] or "-",
        "Submitted": terminal.clock(run["created"]),
        "Process time": terminal.duration(runs.seconds(run)),
        "State": run["state"] + _nothing_new(run),
        "Author": run["author"],
        "Available metrics": _listed(metrics),
    }
    if run["retry_of"]:
        facts["Retry of"] = run["retry_of"]
    if run["error"]:
        facts["Reason"] = f"{run['error']['message']} [{run['error']['code']}]"
    terminal.facts(facts)


def _listed(metrics: list[str]) -> str:
    more = f" and {len(metrics) - _NAMES_SHOWN} more" if len(metrics) > _NAMES_SHOWN else ""
    return ", ".join(metrics[:_NAMES_SHOWN]) + more or "-"


def _nothing_new(run: Run) -> str:
    if run["same_as"]:
        return f" (already trained: run {run['same_as']})"
    return " (nothing new to train)" if run["train"]["skipped"] else ""


def _stages(run: Run) -> None:
    """Where the time went: `overhead` is what kaos needed around the stages' own work."""
    rows: list[tuple[str, ...]] = []
    for name in runs.STAGES:
        taken, job = runs.job_seconds(run, name), run[name]
        if job["job"]:
            state = job["state"] or ("" if run["state"] in FINAL else "running")
            rows.append((name, state, terminal.duration(taken) if taken is not None else "-", job["job"]))
    if rows:
        rows.append(("overhead", "", terminal.duration(runs.seconds(run) - runs.working_seconds(run)), ""))
        terminal.table("STAGES", ("stage", "state", "time", "job_id"), rows)


def _models(run: Run, metric: str, page: int) -> None:
    shown = run["trials"][(page - 1) * _PAGE : page * _PAGE]
    if not shown:
        return
    headers = ("code", "data", "model_id", "hyperparams", "state", f"score ({metric})" if metric else "score", *_COSTS)
    code, data = (f"/{run['inputs'][kind]}" if run["inputs"][kind] else "-" for kind in ("source", "data"))
    rows = [
        (
            code,
            data,
            trial["model"] or trial["id"],
            parameters(trial["params"]),
            trial["state"],
            score(trial["metrics"].get(metric)),
            *_costs(trial),
        )
        for trial in shown
    ]
    pages = -(-len(run["trials"]) // _PAGE)
    title = "TRAINED MODELS" if run["state"] in FINAL else "TRIALS SO FAR"
    terminal.table(f"{title} ({len(run['trials'])}, page {page} of {pages})", headers, rows)
    for trial in shown:
        for text in _more(trial):
            click.echo(safe(f"{trial['id']}: {text}"))


def _costs(trial: Trial) -> tuple[str, ...]:
    seconds, cpu, peak = trial["seconds"], trial["cpu_seconds"], trial["peak_bytes"]
    times = (terminal.duration(spent) if spent is not None else "-" for spent in (seconds, cpu))
    return (*times, terminal.amount(peak) if peak is not None else "-")


def _more(trial: Trial) -> Iterator[str]:
    """What has no column: where there are several metrics, their values; what is missing, and why."""
    metrics, step = trial["metrics"], trial["step"]
    if len(metrics) > 1 or step is not None:
        yield f"{'' if step is None else f'step {score(step)}, '}{measured(metrics)}"
    if trial["omitted"]:
        yield f"it has more metrics or hyperparameters than are kept (16 KiB): {len(metrics)} metrics are"
    if trial["reason"]:
        yield trial["reason"]
