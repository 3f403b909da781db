"""What lies on a USB stick: a list of its files with sizes and hashes, and what FAT32 and exFAT can't hold.

`python -m teaching.stick FOLDER` checks a pack before it is used. Python's own library only: nothing is installed yet.
"""

import csv
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

MANIFEST = "manifest.csv"
LARGEST = 4 * 1024**3 - 1  # bytes of a file on FAT32
FORBIDDEN = '<>:"\\|?*'
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
LONGEST = 200  # letters of a path: Windows allows 260, with the folder that it is copied to


def files_of(folder: Path) -> list[Path]:
    """Return all files below a folder but its manifest, sorted by path."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(path for path in found if path != folder / MANIFEST)


def problems(folder: Path) -> list[str]:
    """Return what FAT32, exFAT or Windows can't hold of a folder's files, a sentence for each."""
    found, seen = [], dict[str, str]()
    for path in files_of(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found.append(f"{name}: a link, which FAT has not")
            continue
        if path.stat().st_nlink > 1:
            found.append(f"{name}: a hard link, which FAT has not")
        if path.stat().st_size > LARGEST:
            found.append(f"{name}: larger than 4 GB")
        if name.casefold() in seen:
            found.append(f"{name}: differs from {seen[name.casefold()]} in the case of letters only")
        seen[name.casefold()] = name
        parts = name.split("/")
        if any(set(part) & set(FORBIDDEN) or part != part.rstrip(" .") for part in parts):
            found.append(f"{name}: a letter that Windows does not allow, or a dot or space at an end")
        if any(part.partition(".")[0].casefold() in RESERVED for part in parts):
            found.append(f"{name}: a name that Windows keeps for itself")
        if len(name) > LONGEST:
            found.append(f"{name}: longer than {LONGEST} letters")
    return found


def digest(path: Path) -> str:
    """Return a file's SHA-256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> int:
    """Write path, size and SHA-256 of every file into manifest.csv, and return the sum of the sizes in bytes."""
    files = files_of(folder)
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "bytes", "sha256"])
        for path in files:
            writer.writerow([path.relative_to(folder).as_posix(), path.stat().st_size, digest(path)])
    return sum(path.stat().st_size for path in files)


def damaged(folder: Path, show: Callable[[str], object] = lambda name: None) -> list[str]:
    """Return the files that are missing or not as the manifest has them.

    Raises
    ------
    ValueError
        It is no pack: it has no manifest that can be read.
    """
    try:
        with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
            rows = [(row["path"], int(row["bytes"]), row["sha256"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError):
        raise ValueError(f"{folder} is no pack: it has no {MANIFEST} that can be read.") from None
    found = []
    for name, size, sha256 in rows:
        show(name)
        path = folder / name
        if not path.is_file():
            found.append(f"{name}: missing")
        elif path.stat().st_size != size or digest(path) != sha256:
            found.append(f"{name}: damaged")
    return found


def main() -> int:
    """Check the pack that the command line names; return 0 where it is whole."""
    folder = Path(sys.argv[1] if len(sys.argv) == 2 else ".").expanduser()
    print(f"Checking the files of {folder} ...", flush=True)
    try:
        found = damaged(folder)
    except ValueError as error:
        found = [str(error)]
    for line in found:
        print(f"  {line}")
    print("Copy the pack anew: it is not whole." if found else "All files are whole.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
