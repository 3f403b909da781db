"""Give a class the kit's pictures: `python -m teaching.shared FOLDER`, before or while the class is served.

The pictures are embedded once, into the project `shared`; each student's project gets a copy under both names that
lessons give them, so that all lessons find them and no student's machine has to embed them. This writes into the
class's folder, not over HTTP: so no key opens the shared project for writing, and the class server need not know
pictures.
"""

import sys
from pathlib import Path

from helpers.connect import COLLECTION, local_client
from helpers.features import load_extractor
from helpers.images import load_folder
from helpers.ingest import image_collection, ingest, stored_rows
from helpers.memora import Memora
from helpers.memora.http import requests_of
from helpers.memora.models import Collection
from local_memora.classroom.register import SHARED, Book

FIRST = "first_search"  # lesson 0's collection, the same pictures


def main(arguments: list[str]) -> None:
    """Fill the projects of the class in a folder."""
    folder = Path(*arguments)
    if len(arguments) != 1 or not (folder / "class.json").is_file():
        sys.exit(f"There is no class in {str(folder)!r}: `python -m local_memora class new NAME` makes one.")
    extractor = load_extractor()
    with local_client(folder, project=SHARED) as shared:
        print(ingest(shared, extractor=extractor))
        rows = [*stored_rows(shared, COLLECTION, ["*"]).values()]
    columns = load_folder().columns
    students = [seat.name for seat in Book(folder).read().students]
    given = 0
    for student in students:
        with local_client(folder, project=student) as client:
            copies = [
                _copy(client, image_collection(name, extractor.dim, columns), rows) for name in (COLLECTION, FIRST)
            ]
        given += any(copies)
    print(f"{given} of {len(students)} students were given a copy; the others have the pictures already.")


def _copy(client: Memora, collection: Collection, rows: list[dict]) -> bool:
    """Store the rows in a project that has no such collection, and return whether that was done."""
    name = collection.collection_name
    if client.collections.has(collection_name=name)["data"]["has"]:
        return False
    client.collections.create(collection=collection)
    for part in requests_of(rows):
        client.vectors.upsert(collection_name=name, data=part)
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
