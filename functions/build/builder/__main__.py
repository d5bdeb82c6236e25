"""`python -m functions.build.builder SOURCE_DIR OUT_DIR`: the program of a build job.

The log goes to stdout; what stops a build goes to stderr, its last line `kaos-error: {"code": …, "message": …}`.

    KAOS_IMAGES               the directory where images, layers and environments are kept
    KAOS_BUILD_ENGINE         `uv` (default), or `podman`: build with a container engine, and push to KAOS_REGISTRY
    KAOS_BUILD_STRICT_PYTHON  `1`: never take a newer Python for one that is not on this machine
    KAOS_BUILD_PLAIN          `1`: do without a sandbox, and follow only those RUNs that need none
"""

import argparse
import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.errors import KaosError, Reject
from shared.last_words import end_by_exception, report, say


def main(argv: list[str], env: Mapping[str, str] = os.environ) -> int:
    """The exit status: 0, or 1 with the error as the last line of stderr."""
    parser = argparse.ArgumentParser(prog="python -m functions.build.builder", description="Builds a source bundle.")
    parser.add_argument("source", type=Path, help="the bundle, or a folder that holds it")
    parser.add_argument("out", type=Path, help="where image.json is written")
    parser.add_argument("--engine", choices=("uv", "podman"), default=env.get("KAOS_BUILD_ENGINE", "uv"))
    arguments = parser.parse_args(argv)
    try:
        _build(arguments.source, arguments.out, arguments.engine, env)
    except KaosError as error:
        return report(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return report(Reject("build.disk", "The disk is full: free some space on the machine that builds."))
        return report(_fault(error))
    except Exception as error:  # noqa: BLE001 - the last line is how a job tells the world why it failed
        return report(_fault(error))
    return 0


def _build(source: Path, out: Path, engine: str, env: Mapping[str, str]) -> None:
    from functions.build.builder.bundle import locate  # noqa: PLC0415 - --help needs none of it

    bundle = locate(source)
    if engine == "podman":
        from functions.build.builder import podman  # noqa: PLC0415

        podman.build(bundle, out, env.get("KAOS_REGISTRY", ""), say)
        return
    store = env.get("KAOS_IMAGES")
    if not store:
        raise Reject("build.no-store", "KAOS_IMAGES is not set: it names the directory where images are kept.")
    from functions.build.builder.build import build  # noqa: PLC0415
    from shared.images import ImageStore  # noqa: PLC0415

    images = ImageStore(Path(store))
    with images.building():
        build(
            bundle,
            out,
            images,
            say,
            strict_python=env.get("KAOS_BUILD_STRICT_PYTHON") == "1",
            sandboxed=env.get("KAOS_BUILD_PLAIN") != "1",
        )


def _fault(error: Exception) -> KaosError:
    """What nobody foresaw: a sentence with the place in our code, for whoever mends it."""
    import traceback  # noqa: PLC0415 - never needed

    place = traceback.extract_tb(error.__traceback__)[-1]
    return KaosError(
        "build.fault",
        f"The builder itself failed ({type(error).__name__}: {str(error)[:300]}, at {Path(place.filename).name}:"
        f"{place.lineno}). The bundle may be right: deploy it again, and report this if it stays.",
    )


if __name__ == "__main__":
    end_by_exception()
    sys.exit(main(sys.argv[1:]))
