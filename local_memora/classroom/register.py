"""Who is in a class: seats with their projects, and the digests of their keys. No key is kept."""

import hashlib
import hmac
import secrets
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import filelock
import orjson

from local_memora.contract.errors import ApiError

FILE = "class.json"
SHARED = "shared"  # the project that every student reads and nobody changes through the server
TEACHER = "teacher"
MOST = 200  # students


@dataclass(frozen=True)
class Seat:
    """One holder of a key.

    Parameters
    ----------
    name : str
        `student-01`, also the student's project; or `teacher`.
    digest : str
        The SHA-256 of the key, in hexadecimal: a key is 128 random bits, which nobody finds from it. Empty where the
        key was revoked.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class Register:
    """What the class's file says: what it is called, where students reach it, and who is in it, the teacher first."""

    name: str
    url: str
    seats: tuple[Seat, ...]

    @property
    def students(self) -> tuple[Seat, ...]:
        """The seats without the teacher's."""
        return self.seats[1:]

    def holder(self, key: str) -> Seat | None:
        """Return whose key this is. Every seat is compared, in constant time, so that the time shows nothing."""
        digest = _digest(key)
        return next(iter([seat for seat in self.seats if hmac.compare_digest(seat.digest, digest)]), None)

    def seat(self, name: str) -> Seat:
        """Return a seat by its name, or refuse with 404."""
        for seat in self.seats:
            if seat.name == name:
                return seat
        raise ApiError(404, f"there is no {name!r} in the class {self.name!r}; `class list` shows who is")


class Book:
    """The class's file in a folder; what another process writes into it counts at once.

    Parameters
    ----------
    folder : Path
        The data folder of the class.

    Raises
    ------
    ApiError
        404 where there is no class in it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._guard = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self.read()

    def read(self) -> Register:
        """Return what the file says now."""
        try:
            state = self._path.stat()
            with self._guard:
                if self._seen != (state.st_mtime_ns, state.st_ino):
                    said = orjson.loads(self._path.read_bytes())
                    seats = tuple(Seat(**seat) for seat in said["seats"])
                    self._register = Register(said["name"], said["url"], seats)
                    self._seen = (state.st_mtime_ns, state.st_ino)
                return self._register
        except FileNotFoundError:
            raise ApiError(404, f"there is no class in {self._path.parent}: `class new NAME` makes one") from None
        except (KeyError, TypeError, orjson.JSONDecodeError) as error:
            raise ApiError(410, f"{self._path} can't be read ({error}): put it back from a back-up") from None

    def new_key(self, name: str) -> str:
        """Give a seat a new key, and return it; the old one opens nothing from now on."""
        key = secrets.token_hex(16)
        self._change(name, _digest(key))
        return key

    def revoke(self, name: str) -> None:
        """Let a seat's key open nothing; its collections stay."""
        self._change(name, "")

    def _change(self, name: str, digest: str) -> None:
        with _turn(self._path):
            register = self.read()
            register.seat(name)
            seats = (replace(seat, digest=digest) if seat.name == name else seat for seat in register.seats)
            _write(self._path, replace(register, seats=tuple(seats)))


def found(folder: Path, name: str, url: str, students: int) -> dict[str, str]:
    """Make a class in a folder, and return the new keys by the seats' names: they are kept nowhere.

    Raises
    ------
    ApiError
        409 where there is a class already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = [TEACHER, *(f"student-{number:02}" for number in range(1, students + 1))]
    keys = {name: secrets.token_hex(16) for name in names}
    path = folder / FILE
    with _turn(path):
        if path.exists():
            raise ApiError(409, f"there is a class in {folder} already: name another --folder, or remove this one")
        _write(path, Register(name, url, tuple(Seat(seat, _digest(key)) for seat, key in keys.items())))
    return keys


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _turn(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path.with_suffix(".lock"), timeout=30)


def _write(path: Path, register: Register) -> None:
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(orjson.dumps(asdict(register), option=orjson.OPT_INDENT_2))
    new.replace(path)
