"""Sites on loopback, and a fetcher that may ask them."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from functions.fetch.fetcher.crew import fetch
from functions.fetch.fetcher.settings import Settings
from shared.addresses import allowed
from shared.errors import KaosError
from tests.integration.fetch.site import Server, Site, serve

NewSite = Callable[..., Site]


@dataclass
class Fetcher:
    """Fetches manifests into `out`; `log` is what it has said."""

    folder: Path
    settings: Settings
    log: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def fetch(self, *lines: dict[str, Any], **settings: Any) -> None:
        shard = self.folder / "shard.mf"
        shard.write_text("".join(json.dumps(line) + "\n" for line in lines))
        fetch(shard, self.out, replace(self.settings, **settings), self.log.append)

    def fails(self, *lines: dict[str, Any], **settings: Any) -> KaosError:
        """The error of a fetch that must fail, and leave no file."""
        with pytest.raises(KaosError) as failure:
            self.fetch(*lines, **settings)
        assert self.files() == {}
        return failure.value

    def files(self) -> dict[str, bytes]:
        """All there is below `out`, drafts among it."""
        found = (path for path in self.out.rglob("*") if path.is_file())
        return {str(path.relative_to(self.out)): path.read_bytes() for path in found}


@pytest.fixture
def new_site() -> Iterator[NewSite]:
    running: list[tuple[Site, Server, threading.Thread]] = []

    def new(tls: ssl.SSLContext | None = None) -> Site:
        site = Site()
        server = serve(site, tls)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        running.append((site, server, thread))
        return site

    yield new
    for site, server, thread in running:
        site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def site(new_site: NewSite) -> Site:
    return new_site()


@pytest.fixture
def fetcher(tmp_path: Path, site: Site) -> Fetcher:
    """One that may ask `site`, and is in a hurry."""
    return Fetcher(tmp_path, Settings(allow=allowed(site.host), backoff=0.001, connections=4))
