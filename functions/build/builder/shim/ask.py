"""Runs inside a build's sandbox, by the image's own Python (3.7 or newer): hands a command to the builder outside.

The builder asks for the files that the command names, writes to its output, and says how it ended.
"""

import json
import socket
import sys
from pathlib import Path
from typing import TextIO

SOCKET = "/.kaos/shim/socket"


def main(program: str, argv: "list[str]") -> int:
    """Returns the exit status that the builder gives the command."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(SOCKET)
    except OSError:
        sys.stderr.write(program + " can only be used in a RUN of the Dockerfile.\n")
        return 1
    stream = connection.makefile("rw", encoding="utf-8")
    send(stream, {"program": program, "argv": argv, "cwd": str(Path.cwd())})
    for line in stream:
        message = json.loads(line)
        if "write" in message:
            sys.stdout.write(message["write"])
            sys.stdout.flush()
        elif "read" in message:
            send(stream, read(message["read"]))
        else:
            return int(message["exit"])
    return 1


def read(path: str) -> "dict[str, str]":
    """The text of a file, or why there is none."""
    try:
        return {"text": Path(path).read_text(encoding="utf-8", errors="replace")}
    except OSError as error:
        return {"error": error.strerror or str(error)}


def send(stream: TextIO, message: object) -> None:
    """One message, one line."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()
