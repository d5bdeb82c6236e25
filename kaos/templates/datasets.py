"""Remote data to try manifests with: pieces of mnist's own data, in a bucket that manifests may read.

`kaos up` puts them there. They are what `split -l 48 -a 3 --additional-suffix=.csv` makes of each file.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET: Final = "kaos-datasets"
# What was published stays as it is, since the manifests of users name it: other content gets another number.
_FOLDER: Final = "mnist/1/"
_FEATURES: Final = Path(__file__).parent / "mnist" / "data" / "features"
# 7 KB: 25 files for the training, 7 each for validation and test.
_LINES_A_FILE: Final = 48


def files() -> Iterator[tuple[str, bytes]]:
    """Every file: its key, and its content."""
    for path in sorted(_FEATURES.glob("*/*.csv")):
        lines = path.read_bytes().splitlines(keepends=True)
        # The shorter one ends both: there are 17,576 names.
        for start, name in zip(range(0, len(lines), _LINES_A_FILE), product(ascii_lowercase, repeat=3), strict=False):
            yield f"{_FOLDER}{path.parent.name}/x{''.join(name)}.csv", b"".join(lines[start : start + _LINES_A_FILE])


def publish(client: "S3Client") -> None:
    """Puts into the bucket, which is there, what it lacks of them."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=_FOLDER)
    there = {found["Key"] for page in pages for found in page.get("Contents", ())}
    for key, content in files():
        if key not in there:
            client.put_object(Bucket=BUCKET, Key=key, Body=content, ContentType="text/csv")
