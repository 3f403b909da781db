"""What the kit adds to Jupyter: a kernel in which a lesson's first cell was not run says so."""

from types import TracebackType
from typing import Any

ADVICE = (
    "{name} is not known in this kernel. After a restart, or if you came to this cell first: run the lesson's first "
    "cells again (menu Run, 'Run All Above Selected Cell'). Otherwise it is a typing mistake."
)


def load_ipython_extension(shell: Any) -> None:
    """Let a NameError end in advice; IPython calls this when a kernel starts.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        The kernel's.
    """
    shell.set_custom_exc((NameError,), _advise)


def _advise(
    shell: Any, kind: type[NameError], error: NameError, trace: TracebackType | None, tb_offset: int | None = None
) -> None:
    error.add_note(ADVICE.format(name=repr(error.name) if error.name else "A name"))
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
