"""What a source bundle must hold, and where its root is: archives come with and without a folder around it all."""

from typing import Final

from shared.bundles import Entry
from shared.errors import Reject

# The original's contract: the Dockerfile beside model/, which is the build context.
_REQUIRED: Final = (
    ("Dockerfile", "bundle.no-dockerfile"),
    ("model/requirements.txt", "bundle.no-requirements"),
    ("model/train", "bundle.no-train"),
)


def source_root(entries: list[Entry]) -> str:
    """The folder that holds the Dockerfile: `""` or `"<folder>/"`.

    Raises Reject `bundle.no-dockerfile`, `.no-model`, `.no-requirements`, `.no-train` or `.several-roots`.
    """
    paths = {entry.path for entry in entries}
    root = "" if "Dockerfile" in paths else _only_folder(paths)
    if not any(path.startswith(f"{root}model/") for path in paths):
        raise Reject("bundle.no-model", f"The source bundle has no folder {root}model/: it holds what train needs.")
    for path, code in _REQUIRED:
        if root + path not in paths:
            raise Reject(code, f"The source bundle has no file {root}{path}: add it and deploy again.")
    return root


def _only_folder(paths: set[str]) -> str:
    folders = sorted({path.partition("/")[0] for path in paths if "/" in path})
    loose = any("/" not in path for path in paths)
    if loose or "model" in folders:
        raise Reject("bundle.no-dockerfile", "The source bundle has no Dockerfile: put one beside model/.")
    if len(folders) > 1:
        raise Reject(
            "bundle.several-roots",
            f"The source bundle has several folders ({', '.join(folders[:5])}) and no Dockerfile beside them: "
            "deploy the one that holds Dockerfile and model/.",
        )
    return f"{folders[0]}/"
