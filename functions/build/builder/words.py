"""Words of an instruction as Docker reads them: `$variables` put in, quotes and escapes taken away."""

import re
from collections.abc import Mapping

from functions.build.builder.dockerfile import json_form, malformed

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")


def expand(word: str, variables: Mapping[str, str]) -> str:
    """One word with its variables put in and its quotes removed; nothing is put in between single quotes."""
    result: list[str] = []
    quote = ""
    position = 0
    while position < len(word):
        character = word[position]
        match = _VARIABLE.match(word, position) if character == "$" and quote != "'" else None
        if match:
            result.append(_value(match, variables))
            position = match.end()
            continue
        position += 1
        if character == "\\" and quote != "'" and position < len(word) and (not quote or word[position] in '"$\\'):
            result.append(word[position])
            position += 1
        elif character in "'\"" and quote in ("", character):
            quote = "" if quote else character
        else:
            result.append(character)
    return "".join(result)


def split(text: str) -> list[str]:
    """Words separated by blanks outside quotes, quotes kept."""
    return re.findall(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*'|["'\\])+""", text)


def paths(value: str, variables: Mapping[str, str]) -> list[str]:
    """The paths of COPY and ADD, in either form."""
    words = json_form(value)
    return [expand(word, variables) for word in (words if words is not None else split(value))]


def pairs(value: str, variables: Mapping[str, str], line: int) -> dict[str, str]:
    """`NAME=value …`, or the old `NAME value`. Raises Reject `build.dockerfile`."""
    words = split(value)
    if "=" not in words[0]:
        name, _, rest = value.partition(" ")
        return {name: expand(rest.strip(), variables)}
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise malformed(line, f"{word[:60]!r} is not NAME=value.")
        found[expand(name, variables)] = expand(text, variables)
    return found


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    name, operator, word = match[1] or match[4], match[2], match[3]
    value = variables.get(name, "")
    if operator == "-" and not value:
        return expand(word, variables)
    if operator == "+":
        return expand(word, variables) if value else ""
    return value
