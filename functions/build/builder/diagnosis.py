"""What uv's output means: the requirement that doesn't exist, the network that isn't there, the disk that is full."""

import re
from collections.abc import Sequence

from shared.errors import KaosError, Reject, Unreachable

_UNKNOWN = (
    re.compile(r"Because (?P<name>[\w.-]+) was not found in the (?:package registry|cache|provided)"),
    re.compile(r"Because there (?:is|are) no versions? of (?P<name>[\w.-]+?)(?P<version>[=<>!~].*?)? and"),
    re.compile(r"Because only .{0,400}? of (?P<name>[\w.-]+) (?:is|are) available", re.DOTALL),
)
_NOT_A_WHEEL = re.compile(r"no (?:usable )?wheels|building from source is disabled|--no-build", re.IGNORECASE)
_NETWORK = re.compile(
    r"error sending request|dns error|Failed to fetch|network was disabled|connect error", re.IGNORECASE
)
_TAIL = 600  # characters of output in a sentence: uv's reasons are some lines


def diagnosed(output: str, requirements: Sequence[str]) -> KaosError:
    """The error of a failed uv; code `build.run-failed` where it is none of those known."""
    flat = re.sub(r"\s*\n\s+│?\s*", " ", output)
    if "No space left on device" in output:
        return Reject("build.disk", "The disk is full: free some space on the machine that builds, and deploy again.")
    if _NETWORK.search(output):
        return Unreachable("build.network", f"The package index can't be reached: {_tail(output)}")
    if not _NOT_A_WHEEL.search(flat):
        for pattern in _UNKNOWN:
            match = pattern.search(flat)
            if match:
                return _unknown(match["name"], requirements, flat)
    return Reject("build.run-failed", f"The requirements could not be installed: {_tail(output)}")


def _unknown(name: str, requirements: Sequence[str], output: str) -> KaosError:
    plain = re.sub(r"[-_.]+", "-", name).lower()
    named = (line for line in requirements if re.sub(r"[-_.]+", "-", line).lower().startswith(plain))
    reason = "is not in the package index" if "not found in" in output else "has no version that fits"
    return Reject(
        "build.requirement-unknown",
        f"The requirement {next(named, name)!r} {reason}: check its spelling and its version. {_tail(output)}",
    )


def _tail(output: str) -> str:
    return " ".join(output.split())[-_TAIL:]
