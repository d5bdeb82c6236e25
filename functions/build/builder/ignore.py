"""`.dockerignore`, by Docker's rules: the last pattern that matches a path or one of its folders decides."""

import re
from collections.abc import Callable


def ignored(text: str) -> Callable[[str], bool]:
    """Whether a path of the context is left out."""
    rules = [rule for line in text.splitlines() if (rule := _rule(line.strip()))]

    def matches(path: str) -> bool:
        verdict = False
        for pattern, keeps in rules:
            if pattern.match(path):
                verdict = not keeps
        return verdict

    return matches


def pattern_of(glob: str) -> str:
    """A regular expression for Go's filepath.Match with `**`: `*` and `?` stay within a folder."""
    parts = re.findall(r"\*\*/?|\*|\?|\[\^?[^\]]+\]|\\.|.", glob)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if part.startswith("**"):
        return "(?:.*/)?" if part.endswith("/") else ".*"
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part[0] == "[" and part[-1] == "]":
        return "[" + part[1:-1].replace("\\", "\\\\").replace("[", "\\[") + "]"
    return re.escape(part[-1] if part[0] == "\\" else part)


def _rule(line: str) -> tuple[re.Pattern[str], bool] | None:
    if not line or line.startswith("#"):
        return None
    keeps = line.startswith("!")
    glob = re.sub(r"/+", "/", line[keeps:].strip()).removeprefix("./").strip("/")
    # A folder that matches takes what is in it along.
    return (re.compile(pattern_of(glob) + r"(?:/.*)?\Z"), keeps) if glob and glob != "." else None
