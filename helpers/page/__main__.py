"""Search by image as a page, without code: `make app`. Voila runs page.ipynb for each visitor and shows its widgets."""

import sys

from helpers.page import kernel


def main() -> None:
    """Serve the page until Ctrl-C; arguments go to Voila."""
    first = kernel.start()  # at once: it imports while Voila does
    from helpers.page.warm import serve  # two seconds to import

    print("The page opens in your browser; Ctrl-C stops it.", flush=True)
    serve(first, sys.argv[1:])


if __name__ == "__main__":
    main()
