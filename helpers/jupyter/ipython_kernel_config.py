"""Settings of every notebook kernel in the kit's environment; `python -m helpers.jupyter` puts it there."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  IPython defines it where it reads this file
c.InteractiveShellApp.extensions = ["helpers.jupyter"]
