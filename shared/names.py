"""The names that people and other systems may give us, and the rules they obey."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from shared.errors import Reject

PartKind = Literal["source", "data", "manifest", "params"]
PART_KINDS: tuple[PartKind, ...] = get_args(PartKind)

# A workspace is also a Pachyderm project, a NATS subject token and a path segment: the strictest of the three.
_WORKSPACE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
# A bundle's name becomes a directory in Pachyderm, which allows no `*?[]{}!()@+^`.
_BUNDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
# A ULID in lower case: Crockford's alphabet, and of 26 characters the first holds 3 bits.
_RUN = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}\Z")
# A trial is named by the start of its datum's id, which is also its directory in the training's output. 10 hex digits
# are 40 bits: of 10,000 trials (the most of a grid) two meet in one of 20,000 grids; with 6, in every grid.
TRIAL_DIGITS: Final = 10
# Of RestartDatum, to the embedded engine: the datum is not restarted, it has failed for this reason. What Pachyderm
# itself has no request for. A cluster would not know the header, and restart it: see functions/gateway/trials.py.
GIVE_UP_HEADER: Final = "kaos-give-up"
KILLED_BY_USER: Final = "killed by its user"
# Longest first, so that `x.tar.gz` loses the whole of its ending.
_SUFFIXES = (".tar.gz", ".tar.zst", ".tar", ".tgz", ".zip", ".mf", ".json")


@dataclass(frozen=True)
class InboxKey:
    """Where a bundle was put: `<workspace>/<kind>/[<run>/]<name>[.<suffix>]`, as in `mnist/source/mnist.zip`.

    `run` is empty where somebody dropped it there; a submission's bundles lie under their run.
    """

    workspace: str
    kind: PartKind
    name: str
    run: str = ""


def workspace_name(name: str) -> str:
    """Returns `name`; raises Reject `workspace.name` where it cannot name a workspace."""
    if not _WORKSPACE.match(name):
        raise Reject(
            "workspace.name",
            f"{name[:60]!r} can't name a workspace: use 1 to 40 lower-case letters, digits and hyphens, "
            "starting with a letter or digit.",
        )
    return name


def bundle_name(name: str) -> str:
    """Returns `name`; raises Reject `bundle.name` where it cannot name a bundle."""
    if not _BUNDLE.match(name):
        raise Reject(
            "bundle.name",
            f"{name[:120]!r} can't name a bundle: use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit, 100 at most.",
        )
    return name


def is_run(name: str) -> bool:
    """Whether this can be the id of a run."""
    return _RUN.match(name) is not None


def inbox_key(key: str) -> InboxKey:
    """Reads an object's key; raises Reject `bundle.key`, `bundle.name` or `workspace.name` where it is no such key."""
    workspace, _, rest = key.partition("/")
    kind, _, rest = rest.partition("/")
    run, _, filename = rest.rpartition("/")
    if kind not in PART_KINDS or not filename or (run and not is_run(run)) or rest.startswith("/"):
        raise Reject(
            "bundle.key",
            f"The object {key[:200]!r} is not <workspace>/<source|data|manifest|params>/<name>: "
            "drop bundles as, for example, mnist/source/mnist.zip.",
        )
    return InboxKey(workspace_name(workspace), kind, bundle_name(strip_suffix(filename)), run)


def submission_key(workspace: str, kind: PartKind, run: str, filename: str) -> str:
    """Where a submission puts its bundle: under its run, so that nobody who deploys the same name overwrites it."""
    return f"{workspace}/{kind}/{run}/{filename}"


def strip_suffix(filename: str) -> str:
    """The bundle's name: the file's name without the ending of its archive format."""
    lowered = filename.lower()
    for suffix in _SUFFIXES:
        if lowered.endswith(suffix) and len(filename) > len(suffix):
            return filename[: -len(suffix)]
    return filename
