"""A pack for a class without internet, served beside it: packages as pip wants them, and the student's edition.

`make pack` has made it; nothing here needs a key, as pip has none, and nothing but the pack's files is given.
"""

import csv
import html
from pathlib import Path
from string import Template
from urllib.parse import quote

from flask import Flask, Response, request, send_file

from local_memora.contract.errors import ApiError

PREFIX = "/pack"
HERE = Path(__file__).parent


def serve_pack(app: Flask, folder: Path) -> list[str]:
    """Add a pack's pages and files to an application, and return their paths.

    Parameters
    ----------
    app : Flask
        The application.
    folder : Path
        The pack.

    Raises
    ------
    ApiError
        404 where the folder is no pack.
    """
    folder = folder.resolve()  # Flask counts relative files from its own
    hashes = _hashes(folder)
    wheels = sorted(name.removeprefix("wheels/") for name in hashes if name.startswith("wheels/"))
    links = {name: f"{PREFIX}/wheels/{quote(name)}#sha256={hashes[f'wheels/{name}']}" for name in wheels}
    projects: dict[str, dict[str, str]] = {}
    for name, link in links.items():  # a wheel's name begins with its project's; an index has hyphens in it
        projects.setdefault(name.partition("-")[0].lower().replace("_", "-").replace(".", "-"), {})[name] = link
    lists = {f"{PREFIX}/wheels": links, f"{PREFIX}/simple/": {name: f"{PREFIX}/simple/{name}/" for name in projects}}
    lists |= {f"{PREFIX}/simple/{name}/": found for name, found in projects.items()}
    files = {f"{PREFIX}/wheels/{name}": folder / "wheels" / name for name in wheels}
    files |= {f"{PREFIX}/student.zip": folder / "student.zip"}

    def page() -> str:
        template = Template((HERE / "pack.html").read_text(encoding="utf-8"))
        return template.substitute(url=html.escape(request.url.rstrip("/")), host=html.escape(request.host))

    app.add_url_rule(PREFIX, PREFIX, page)
    for path, found in lists.items():
        app.add_url_rule(path, path, lambda found=found: _list(found))
    for path, file in files.items():
        app.add_url_rule(path, path, lambda file=file: send_file(file, "application/octet-stream", as_attachment=True))
    return [PREFIX, *lists, *files]


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a pack, from its manifest."""
    try:
        with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            found = {row["path"]: row["sha256"] for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError):
        found = {}
    if missing := [name for name in (*found, "student.zip") if not (folder / name).is_file()]:
        raise ApiError(404, f"{folder} is no pack, or not a whole one: {missing[0]} is missing; `make pack` makes one")
    return found


def _list(links: dict[str, str]) -> Response:
    """Return a page of links, as pip reads one."""
    lines = [f'<a href="{html.escape(link)}">{html.escape(name)}</a><br>' for name, link in links.items()]
    return Response("<!doctype html>\n" + "\n".join(lines), content_type="text/html; charset=utf-8")
