"""The hand-out: a page of slips to cut out, one for each student, to be printed from a browser."""

import html
import socket
from pathlib import Path
from string import Template

from local_memora.classroom.register import SHARED, TEACHER
from local_memora.serve import HOST

HERE = Path(__file__).parent


def page(title: str, url: str, keys: dict[str, str]) -> str:
    """Return the page, in HTML; it needs nothing from elsewhere.

    Parameters
    ----------
    title : str
        What the class is called.
    url : str
        Where students reach it.
    keys : dict of str to str
        The key of each student; the teacher's gets no slip.
    """
    shown = {"title": html.escape(title), "shared": SHARED}
    slips = [
        _filled("slip.html", **shown, name=html.escape(name), lines=html.escape(lines(url, name, key)))
        for name, key in keys.items()
        if name != TEACHER
    ]
    return _filled("handout.html", **shown, slips="\n".join(slips))


def _filled(template: str, **texts: str) -> str:
    return Template((HERE / template).read_text(encoding="utf-8")).substitute(texts)


def lines(url: str, project: str, key: str) -> str:
    """Return the three settings that make a client."""
    return f"MEMORA_URL={url}\nMEMORA_PROJECT_ID={project}\nMEMORA_API_KEY={key}"


def this_address() -> str:
    """Return this machine's address on its network, or the loopback's where it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for examples: the system only chooses a way
            return str(probe.getsockname()[0])
        except OSError:
            return HOST
