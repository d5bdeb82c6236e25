"""Why a job failed, in a sentence the user can act on."""

import re
from collections.abc import Mapping, Sequence

from functions.logs.trials import DONE
from shared.events import JobFinished
from shared.last_words import heard
from shared.names import KILLED_BY_USER
from shared.quantities import readable
from shared.runs import Failure, Options
from shared.trials import Trial

# What Pachyderm says before the reason itself; the datum's id means nothing to the user.
_DATUM = re.compile(r"^datum [0-9a-f]+ failed:?\s*")


# How the engine begins where it can't give what is asked for.
_NEVER = "it can never run"
_NO_OPTIONS = Options()
_QUOTED = 300
_NOTHING_WRITTEN = Failure(
    code="train.no-output",
    message="train ended well but wrote nothing: it must write its model into the directory that argument 1 names.",
)


def failure(job: JobFinished, last_words: str, options: Options = _NO_OPTIONS) -> Failure:
    """The code and the sentence for a job that did not succeed, from Pachyderm's reason and the end of its log.

    `options` is what a training's trials were given.
    """
    reason = _DATUM.sub("", job.reason) or "no reason was given"
    if job.outcome == "killed":
        return Failure(code=f"{job.stage}.killed", message=f"The {job.stage} was stopped: {reason}.")
    if job.stage == "train":
        return _of_train(reason, last_words, options)
    if (told := heard(last_words)) is not None:
        return Failure(code=told[0], message=told[1])
    return Failure(
        code=f"{job.stage}.failed",
        message=f"The {_DOES[job.stage]} failed: {reason}. `kaos train logs --stage {job.stage}` shows the log.",
    )


def of_trials(trials: Sequence[Trial], last_words: Mapping[str, str], options: Options = _NO_OPTIONS) -> Failure | None:
    """Why a training whose job succeeded has not a model of every trial; None where it has."""
    missing = [trial for trial in trials if not trial.model]
    if not missing and trials:
        return None
    if not trials:
        return Failure(code="train.no-trials", message="There was nothing to train: the data or the grid is empty.")
    first = missing[0]
    if first.state in DONE:
        told = _NOTHING_WRITTEN
    else:
        reason = first.reason or "no reason was given"
        told = _of_train(reason, last_words.get(first.id, ""), options, peak=first.peak_bytes)
    if len(trials) == 1:
        return told
    good = len(trials) - len(missing)
    return Failure(
        code="train.trials", message=f"{good} of {len(trials)} trials succeeded. Trial {first.id}: {told.message}"
    )


_DOES = {"build": "build of the image", "fetch": "download of the data", "train": "training"}


def _of_train(reason: str, last_words: str, options: Options, *, peak: int | None = None) -> Failure:
    if "out of memory" in reason:
        return Failure(code="train.out-of-memory", message=_of_memory(reason, options, peak))
    if reason.startswith(_NEVER):
        return Failure(
            code="train.resources", message=f"{reason[0].upper()}{reason[1:]}: ask for less (--cpu, --memory, --gpu)."
        )
    if reason == KILLED_BY_USER:
        return Failure(code="train.killed", message="It was killed by its user.")
    if "signal" in reason:
        return Failure(code="train.killed", message=f"The training was ended by {reason} from outside.")
    said = f" Its last words: {last_words[:_QUOTED]}" if last_words else " It printed nothing."
    return Failure(code="train.failed", message=f"train ended with {reason}.{said}")


def _of_memory(reason: str, options: Options, peak: int | None) -> str:
    if not options.memory:
        return f"The training ran {reason}."
    at_most = f": its peak was {readable(peak)}" if peak is not None else ""
    return f"The training used more than --memory {options.memory}{at_most}. Give it more, or let it need less."
