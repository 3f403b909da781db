"""Fill a class's shared project with the kit's pictures: `python -m teaching.shared FOLDER`.

It writes into the class's folder, also while the class is served. So no key has to open the shared project for writing,
and the class server need not know pictures.
"""

import sys
from pathlib import Path

from helpers.connect import local_client
from helpers.features import load_extractor
from helpers.ingest import ingest


def main(arguments: list[str]) -> None:
    """Ingest the kit's pictures for the class in a folder."""
    folder = Path(*arguments)
    if len(arguments) != 1 or not (folder / "class.json").is_file():
        sys.exit(f"There is no class in {str(folder)!r}: `python -m local_memora class new NAME` makes one.")
    with local_client(folder, project="shared") as client:
        print(ingest(client, extractor=load_extractor()))


if __name__ == "__main__":
    main(sys.argv[1:])
