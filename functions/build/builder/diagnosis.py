"""What uv's output means: the requirement that doesn't exist, the network that isn't there, the disk that is full."""

import re
from collections.abc import Sequence

from shared.errors import KaosError, Reject, Unreachable

_NOT_FOUND = re.compile(r"Because (?P<name>[\w.-]+) was not found in the (?:package registry|cache|provided)")
_NO_VERSION = (
    re.compile(r"Because there (?:is|are) no versions? of (?P<name>[\w.-]+)"),
    re.compile(r"(?P<name>[\w.-]+)(?:==\S+)? has no (?:usable )?wheels"),
    re.compile(r"does not satisfy Python\S+ and (?P<name>[\w.-]+)"),
    re.compile(r"Because only (?P<name>[\w.-]+?)[<>=!~]\S* (?:is|are) available"),
)
_LACKS_WHEEL = re.compile(r"no usable wheels|building from source is disabled|--no-build", re.IGNORECASE)
_NETWORK = re.compile(
    r"error sending request|dns error|Failed to fetch|network was disabled|connect error", re.IGNORECASE
)
_UNREADABLE = re.compile(
    r"Couldn't parse requirement in `[^`]*` at position \d+\s*(?:cause:)?\s*(?P<why>.*)", re.DOTALL
)
_NOT_BUILT = re.compile(r"Failed to (?:download and )?build `(?P<name>[^`]+)`")
_EXCEPTION = re.compile(r"^[\s│]*((?:\w+\.)*\w*(?:Error|Exception|Exit|error): .+)$", re.MULTILINE)
_NOISE = re.compile(
    r"^Using .*$|^error: No solution found when resolving dependencies.*$|cause: "
    r"|, we can conclude that your requirements are unsatisfiable",
    re.MULTILINE,
)
# Characters of uv's own words in a sentence: its reasons are some lines.
_QUOTED = 500


def lacks_wheel(output: str) -> bool:
    """Whether uv failed since it was to take wheels alone, and building from source may help."""
    return bool(_LACKS_WHEEL.search(_flat(output)))


def diagnosed(output: str, requirements: Sequence[str]) -> KaosError:
    """The error of a failed uv; code `build.run-failed` where it is none of those known."""
    said = " ".join(_NOISE.sub("", output).replace("│", " ").split())
    if "No space left on device" in output:
        return Reject("build.disk", "The disk is full: free some space on the machine that builds, and deploy again.")
    if _NETWORK.search(output):
        trust = " Set SSL_CERT_FILE to the certificates of your network." * ("UnknownIssuer" in output)
        return Unreachable("build.network", f"The package index can't be reached: {said[-_QUOTED:]}{trust}")
    if match := _UNREADABLE.search(output):
        return Reject("build.requirement-invalid", f"A requirement can't be read: {' '.join(match['why'].split())}")
    if "No solution found" in output:
        return _unsatisfiable(_flat(output), said, requirements)
    return _not_built(output, said)


def _unsatisfiable(flat: str, said: str, requirements: Sequence[str]) -> Reject:
    if match := _NOT_FOUND.search(flat):
        wanted = _line(match["name"], requirements)
        return Reject("build.requirement-unknown", f"{wanted} is not in the package index: check its spelling.")
    for pattern in _NO_VERSION:
        if match := pattern.search(flat):
            wanted = _line(match["name"], requirements)
            return Reject("build.requirement-unknown", f"{wanted} has no version that fits: {said[:_QUOTED]}")
    return Reject("build.requirement-conflict", f"The requirements contradict each other: {said[:_QUOTED]}")


def _not_built(output: str, said: str) -> KaosError:
    match, reasons = _NOT_BUILT.search(output), _EXCEPTION.findall(output)
    if not match:
        return Reject("build.run-failed", f"The requirements could not be installed: {said[-_QUOTED:]}")
    reason = reasons[-1].strip()[:_QUOTED].rstrip(".") if reasons else said[-_QUOTED:]
    return Reject(
        "build.run-failed",
        f"{match['name']} has no wheel for this Python, and could not be built from source: {reason}. "
        "Ask for a version that has one, or see the log for what its build misses.",
    )


def _line(name: str, requirements: Sequence[str]) -> str:
    """The requirement that names a package, as its author wrote it; what another package asks for, by its name."""
    plain = _normal(name)
    named = (line for line in requirements if re.match(rf"{re.escape(plain)}(?![\w-])", _normal(line)))
    return f"The requirement {next(named, name)!r}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _flat(output: str) -> str:
    return re.sub(r"\s*\n\s+│?\s*", " ", output)
