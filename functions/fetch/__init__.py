"""Brings the remote data that a manifest names."""

from typing import Any


def __getattr__(name: str) -> Any:
    # Late, since the fetcher's package lies below: it starts once a shard, in 0.1 s; these imports take 0.8 s.
    if name == "FUNCTIONS":
        from functions.fetch.handler import fetch  # noqa: PLC0415

        return (fetch,)
    raise AttributeError(name)
