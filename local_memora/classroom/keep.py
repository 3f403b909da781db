"""Back-ups of a class, made while it goes on, and projects that begin anew."""

import zipfile
from contextlib import ExitStack, suppress
from pathlib import Path

from local_memora.app import open_engine
from local_memora.classroom import reports
from local_memora.classroom.register import FILE, SHARED, Book
from local_memora.contract.bodies import OnCollection
from local_memora.contract.errors import ApiError
from local_memora.contract.schema import parse
from local_memora.verbs.service import Service
from local_memora.verbs.structure import drop_collection


def back_up(folder: Path, file: Path) -> int:
    """Write a class into a zip file: digests of keys, collections, rows. Writers wait meanwhile, readers do not.

    Returns
    -------
    int
        How many collections there are in it.

    Raises
    ------
    ApiError
        404 where there is no class in the folder.
    FileExistsError
        The file is there already.
    """
    from local_memora.engines.lance.snapshot import save  # LanceDB takes a second to import

    students = Book(folder).read().students
    service = Service(folder, open_engine(folder), 1)
    file.touch(mode=0o600, exist_ok=False)
    try:
        with ExitStack() as held, zipfile.ZipFile(file, "w") as archive:
            found = []
            for project in (SHARED, *(seat.name for seat in students)):
                for body in _collections(service, project):
                    with suppress(ApiError):  # dropped in this moment
                        found.append(held.enter_context(service.turn(body)).id)
            archive.write(folder / FILE, FILE)
            if (folder / reports.FILE).exists():
                archive.write(folder / reports.FILE, reports.FILE)
            save(folder, found, archive)
    except BaseException:
        file.unlink()
        raise
    return len(found)


def restore(folder: Path, file: Path) -> None:
    """Unpack a back-up into a folder that is missing or empty.

    Raises
    ------
    ApiError
        409 where there is something in the folder, 400 where the file is not a back-up of a class.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ApiError(409, f"{folder} is not empty: name another --folder, or move this one away first")
    try:
        with zipfile.ZipFile(file) as archive:
            if FILE not in archive.namelist():
                raise ApiError(400, f"{file} is not a back-up of a class: it has no {FILE}")
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            archive.extractall(folder)
    except zipfile.BadZipFile as error:
        raise ApiError(400, f"{file} is not a back-up of a class ({error})") from None


def empty(folder: Path, project: str) -> int:
    """Drop all collections of a project, and return how many they were."""
    service = Service(folder, open_engine(folder), 1)
    bodies = _collections(service, project)
    for body in bodies:
        drop_collection(service, body)
    return len(bodies)


def _collections(service: Service, project: str) -> list[OnCollection]:
    names = service.engine.names(project)
    return [parse(OnCollection, {"project_id": project, "collectionName": name}) for name in names]
