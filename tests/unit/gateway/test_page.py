"""The web page: what is served, under which headers, and that nothing in it could run what a run prints."""

import gzip
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi import FastAPI

from functions.gateway import page

MEDIA = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# What turns text into markup or code. `style` is here since the policy forbids it in markup.
DANGEROUS = (
    r"(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|document\.write|srcdoc|setHTML"
    r"|\beval\b|new Function|javascript:|\bimport\((?!\"\./)|https?://|setAttribute\(\"(?:on|style|href))"
)
COMMENTS = re.compile(r"/\*.*?\*/|^\s*//.*?$", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r'^import [^"]*"\./([^"]+)"|import\("\./([^"]+)"\)', re.MULTILINE)
# More is no small page: of all of it, and of what the list of runs waits for.
MOST_BYTES = 50_000
MOST_FIRST_BYTES = 30_000


class Named(HTMLParser):
    """The attributes of a document: addresses, and what could run."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name in {"href", "src"}:
                self.addresses.append(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._tag in {"script", "style"} and data.strip():
            self.inline.append(data)


def named(html: bytes) -> Named:
    parser = Named()
    parser.feed(html.decode())
    return parser


async def assets(ask: Any, entry: str = "/") -> dict[str, str]:
    """The addresses of all files that an entry names, by their names."""
    found = named((await ask("GET", entry)).body).addresses
    return {address.rpartition("/")[2]: f"/{address}" for address in found if address.startswith("page/")}


@pytest.mark.parametrize(("entry", "others"), [("/", {"docs"}), ("/docs", {"./#/", "openapi.json"})])
async def test_the_page_needs_no_token_and_is_all_served_from_here(ask: Any, entry: str, others: set[str]) -> None:
    answer = await ask("GET", entry)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    found = named(answer.body).addresses
    assert {each for each in found if not each.startswith(("page/", "#"))} == others
    for name, path in (await assets(ask, entry)).items():
        answer = await ask("GET", path)
        assert answer.status == 200, path
        assert answer.headers["content-type"].startswith(MEDIA[name.rpartition(".")[2]])
        assert answer.body


async def test_the_entries_name_every_file_so_that_none_is_waited_for(ask: Any) -> None:
    files = {"index.html", "docs.html", *await assets(ask), *await assets(ask, "/docs")}
    # It has types alone, which nothing loads.
    assert {*files, "wire.js"} == set(page.read())


def test_modules_load_nothing_but_each_other() -> None:
    files = page.read()
    for name, content in files.items():
        if name.endswith(".js"):
            text = COMMENTS.sub("", content.decode())
            assert {found[0] or found[1] for found in IMPORT.findall(text)} <= files.keys()
            assert len(IMPORT.findall(text)) == len(re.findall(r"^import |import\(", text, re.MULTILINE))
        if name.endswith(".css"):
            assert not re.findall(rb"@import|url\(", content)


@pytest.mark.parametrize("name", sorted(page.read()))
def test_nothing_that_is_shown_can_become_markup_or_code(name: str) -> None:
    content = page.read()[name].decode().replace('"http://www.w3.org/2000/svg"', "")
    assert not re.findall(DANGEROUS, COMMENTS.sub("", content))
    if name.endswith(".html"):
        assert not named(content.encode()).inline
    if name.endswith(".js"):
        assert content.startswith("// @ts-check\n// ")


@pytest.mark.parametrize("path", ["/", "/docs", "frame.css", "main.js"])
async def test_every_file_has_the_headers_that_bind_it(ask: Any, path: str) -> None:
    answer = await ask("GET", path if path.startswith("/") else (await assets(ask))[path])
    policy = dict(each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers


async def test_what_a_browser_has_is_not_sent_again(ask: Any) -> None:
    for path, caching in (("/", "no-cache"), ((await assets(ask))["main.js"], "public, max-age=31536000, immutable")):
        first = await ask("GET", path)
        assert first.headers["cache-control"] == caching
        for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
            again = await ask("GET", path, headers={"if-none-match": known})
            assert (again.status, again.body) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        assert (await ask("GET", path, headers={"if-none-match": '"other"'})).status == 200


async def test_files_go_compressed_to_whom_can_read_that_and_are_few_bytes(ask: Any) -> None:
    sizes = {}
    for name, path in {"index.html": "/", **await assets(ask)}.items():
        plain, packed = await ask("GET", path), await ask("GET", path, headers={"accept-encoding": "br, gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]
        assert gzip.decompress(packed.body) == plain.body
        sizes[name] = len(packed.body)
    assert sum(sizes.values()) < MOST_BYTES
    first = {name for name in sizes if not name.endswith(".js")} | loaded("main.js")
    assert sum(sizes[name] for name in first) < MOST_FIRST_BYTES


def loaded(name: str) -> set[str]:
    """A module and all that it waits for."""
    found, waiting = set(), {name}
    while waiting:
        found |= waiting
        texts = [page.read()[each].decode() for each in waiting]
        waiting = {each for text in texts for each, _ in IMPORT.findall(text) if each} - found
    return found


@pytest.mark.parametrize("name", ["index.html", "docs.html", "page.py", "..%2fpage.py", "none.js"])
async def test_nothing_else_is_served(ask: Any, name: str) -> None:
    folder = (await assets(ask))["main.js"].removesuffix("main.js")
    assert (await ask("GET", folder + name)).code == "page.outdated"


async def test_a_file_of_another_version_is_not_served(ask: Any) -> None:
    answer = await ask("GET", f"/page/{'0' * 32}/main.js")
    assert (answer.status, answer.code) == (404, "page.outdated")


def test_it_is_no_part_of_the_api(api: FastAPI) -> None:
    assert not [path for path in api.openapi()["paths"] if path == "/" or path.startswith("/page")]
