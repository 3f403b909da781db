"""Runs the cells of one hand-in and writes what the checks found: `teaching.progress` starts it, nobody else does.

Network: the process has none on Linux (a namespace of its own). Here, Python's connections to other machines are
refused as well. Neither keeps a hand-in from the files that this user can read and write.
"""

import json
import sys
from pathlib import Path
from typing import Any

LOCAL = ("127.0.0.1", "::1", "localhost", None, "")


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse connections to other machines; an audit hook can't be removed again by Python code."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        asked = address[0] if isinstance(address, tuple) else None  # a text: a socket in the file system
    elif event == "socket.getaddrinfo":
        asked = arguments[0]
    else:
        return
    if asked not in LOCAL:
        raise PermissionError(f"A hand-in is checked without the network: {asked} can't be reached.")


def run(steps: list[list[str]], results: Path) -> None:
    """Run the cells in one interpreter and write a line of JSON for each exercise: its name, right or not, and why."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    from helpers.check.answers import right

    shell = InteractiveShell.instance()
    shell.run_cell("from helpers import check")
    with results.open("a", encoding="utf-8") as file:
        for name, source in steps:
            right.pop(name, None)
            with capture_output() as captured:
                outcome = shell.run_cell(source)
            if not name:
                continue
            said = captured.stdout.strip().splitlines()
            why = said[-1] if said and outcome.success else f"{type(_error(outcome)).__name__}: {_error(outcome)}"
            file.write(json.dumps([name, right.get(name, False), why[:300].partition("\n")[0]]) + "\n")
            file.flush()


def _error(outcome: Any) -> BaseException | None:
    return outcome.error_before_exec or outcome.error_in_exec


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    sys.addaudithook(refuse_network)
    run(json.loads((folder / "steps.json").read_text(encoding="utf-8")), folder / "results")
