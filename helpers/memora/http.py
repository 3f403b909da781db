"""One POST to Memora: JSON out and in, retries where they are safe, errors a learner can read."""

import functools
import math
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

import httpx
import numpy as np
import orjson
import tenacity

from helpers.memora import errors

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PASSING = {408, 429, 502, 503}  # statuses worth another try; not 504: the first call may still run then
STORES = ("vectors/insert", "vectors/upsert")
TAKES = "Memora-Takes"  # in answers of a Memora that also takes rows in another form, whose media type this is:
PACKED = "application/vnd.memora-local.rows"  # JSON without the vectors, which follow as bytes
THIS_MACHINE = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}  # reached without a proxy
REQUEST_BYTES = 8 * 1024 * 1024  # of JSON in one request, about 500 vectors of 1,280 numbers
REQUEST_ITEMS = 10_000  # rows, or query vectors, in one request
# These calls fail, or do something else, when they are done twice: they are never sent again.
ONCE = {f"{noun}/{verb}" for noun in ("collections", "partitions", "indexes") for verb in ("create", "drop", "rename")}
ONCE.add("vectors/insert")
ATTEMPTS = 4  # the first and three more, about 0.2 + 0.4 + 0.8 seconds apart
LONGEST_PAUSE = 10  # seconds, whatever Memora asks for

T = TypeVar("T")


class _ApiKey(httpx.Auth):
    """Adds the key to each request as it leaves: no header that could be printed holds the key before."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Api-Key"] = self._key
        yield request

    def hide(self, text: str) -> str:
        return text.replace(self._key, "[the API key]")


class Http:
    """The connection pool behind a client.

    Parameters
    ----------
    api_key, project_id, base_url : str
        Where to send requests, and as whom.
    transport : httpx.BaseTransport, optional
        A way other than the network: httpx.WSGITransport calls the local Memora in this process.
    """

    def __init__(self, api_key: str, project_id: str, base_url: str, transport: httpx.BaseTransport | None) -> None:
        if not isinstance(api_key, str) or not re.fullmatch(r"[!-~]+", api_key):
            raise errors.InvalidRequestError(
                "The API key is empty, or holds a space, line break or letter that no key has: copy it again."
            )
        self._project_id = project_id
        self.base_url = re.sub("//[^/]*@", "//", base_url)  # as it is shown, without a password
        self._key = _ApiKey(api_key)
        self._takes_packed = False  # until an answer says so
        try:
            self._client = httpx.Client(
                base_url=base_url, auth=self._key, timeout=TIMEOUT, transport=transport, mounts=THIS_MACHINE
            )
        except httpx.InvalidURL as error:
            raise errors.InvalidRequestError(f"The base URL {self.base_url!r} is not valid ({error}).") from None
        if self._client.base_url.scheme not in ("http", "https"):
            raise errors.InvalidRequestError(f"The base URL {self.base_url!r} must start with http:// or https://.")

    def close(self) -> None:
        """Close the pool."""
        self._client.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one call, `resource/verb`, and return the answer's JSON; the MemoraError raised says what went wrong."""
        body = {"project_id": self._project_id, **body}
        packed = _packed(body) if self._takes_packed and path in STORES else None
        response = self._send(path, packed, PACKED) if packed else self._send(path, to_json(body), "application/json")
        if packed and response.status_code in (400, 415) and not self._takes_packed:  # another Memora, after a restart
            response = self._send(path, to_json(body), "application/json")
        if response.is_success and (answer := _json_object(response)) is not None:
            return answer
        if response.is_success or response.is_redirect:
            message = f"{self.base_url} answered {path}, but not as a Memora does: is the base URL right?"
            raise errors.UnavailableError(message, response.status_code)
        # In one expression: tracebacks that show variables must not show a key that the server has echoed.
        raise errors.from_status(response.status_code, self._key.hide(_reason(response, path)))

    def _send(self, path: str, content: bytes, kind: str) -> httpx.Response:
        send = functools.partial(self._client.post, path, content=content, headers={"Content-Type": kind})
        try:
            response = _retrying(path not in ONCE)(send)
        except (httpx.RequestError, UnicodeError) as error:  # UnicodeError: a host name that DNS can't hold
            raise self._no_answer(path, error) from None
        self._takes_packed = response.headers.get(TAKES) == PACKED
        return response

    def _no_answer(self, path: str, error: Exception) -> errors.UnavailableError:
        if isinstance(error, httpx.ConnectTimeout):
            return errors.UnavailableError(
                f"Memora at {self.base_url} was not reached within {TIMEOUT.connect:g} seconds."
            )
        if isinstance(error, httpx.TimeoutException):
            late = errors.UnavailableError(
                f"Memora at {self.base_url} did not answer {path} within {TIMEOUT.read:g} seconds. It may still be at "
                "work on this call, so the call was not sent again."
            )
            late.next_step = "Wait until Memora is less busy, or ask for less in one call."
            return late
        lost = errors.UnavailableError(f"Memora at {self.base_url} could not be reached: {self._key.hide(str(error))}.")
        if path in ONCE and isinstance(error, httpx.ReadError | httpx.WriteError | httpx.RemoteProtocolError):
            look = "collections.has(...), vectors.get(...) or collections.get_stats(...)"
            lost.next_step = f"It is not known whether {path} was done. Look with {look} before you send it again."
        return lost


def _retrying(repeatable: bool) -> tenacity.Retrying:
    """Return what sends a call again after longer and longer pauses, and returns or raises what came last.

    A call that timed out is not sent again: Memora may still be at work on it, and would only become slower. A call of
    ONCE is sent again only where Memora has refused it for now and says when to come back.
    """
    passing = tenacity.retry_if_exception(
        lambda error: isinstance(error, httpx.RequestError) and not isinstance(error, httpx.TimeoutException)
    ) | tenacity.retry_if_result(lambda response: response.status_code in PASSING)
    return tenacity.Retrying(
        retry=passing if repeatable else tenacity.retry_if_result(lambda response: _seconds_to_wait(response) > 0),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(TIMEOUT.read or 0),
        wait=_pause,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )


def _pause(state: tenacity.RetryCallState) -> float:
    """Return the seconds to wait: what Memora asks for, at most LONGEST_PAUSE, or longer and longer."""
    outcome = state.outcome
    asked = 0 if outcome is None or outcome.failed else _seconds_to_wait(outcome.result())
    growing = tenacity.wait_exponential(multiplier=0.2) + tenacity.wait_random(0, 0.1)
    return min(asked, LONGEST_PAUSE) or growing(state)


def _seconds_to_wait(response: httpx.Response) -> int:
    """Return what a 429 says of when to come back; 0 where it says nothing."""
    asked = response.headers.get("Retry-After", "") if response.status_code == 429 else ""
    return int(asked) if asked.isdecimal() else 0


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _reason(response: httpx.Response, path: str) -> str:
    said = (_json_object(response) or {}).get("message")
    return str(said or f"{path} failed: {response.reason_phrase}")


def to_json(body: Any) -> bytes:
    """Serialise a body, or a part of one; vectors may be lists, numpy arrays or torch tensors.

    Raises
    ------
    InvalidRequestError
        Something in it has no JSON form.
    """
    try:
        return orjson.dumps(body, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise errors.InvalidRequestError(f"This can't be sent as JSON: {error.__cause__ or error}.") from None


def _packed(body: dict[str, Any]) -> bytes | None:
    """Write rows with their float32 arrays as bytes behind the JSON; None where no field has arrays of one length."""
    rows = body["data"]
    fields = [name for name, value in rows[0].items() if isinstance(value, np.ndarray)] if rows else []
    columns = {name: [row.get(name) for row in rows] for name in fields}
    blocks = {name: np.stack(column) for name, column in columns.items() if _alike(column)}
    if not blocks:
        return None
    left = [{name: value for name, value in row.items() if name not in blocks} for row in rows]
    head = {"body": body | {"data": left}, "float32": {name: block.shape[1] for name, block in blocks.items()}}
    return b"".join([to_json(head), b"\n", *(block.astype("<f4", copy=False).tobytes() for block in blocks.values())])


def _alike(column: list[Any]) -> bool:
    kinds = {(value.dtype, value.shape) if isinstance(value, np.ndarray) else None for value in column}
    return len(kinds) == 1 and column[0].dtype == np.float32 and column[0].ndim == 1 and column[0].size > 0


def requests_of(items: Iterable[T], most: int = REQUEST_ITEMS) -> Iterator[list[T]]:
    """Divide rows, or query vectors, into lists of at most `most` that are small enough for one request each.

    Memora refuses a request of more than 64 MB, and a request that takes long to answer times out. The client itself
    never divides a call: an insert that is refused has stored nothing. A very large item goes alone.
    """
    part: list[T] = []
    size = 0
    for item in items:
        length = len(to_json(item)) + 1
        if part and (size + length > REQUEST_BYTES or len(part) == most):
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    if part:
        yield part


def _plain(value: Any) -> Any:
    """Turn a value that orjson does not know into one that it can write."""
    if hasattr(value, "detach"):
        value = _from_torch(value)
        if value.ndim and value.flags.c_contiguous:
            return value
    if isinstance(value, np.ndarray):  # not contiguous, or of a type that orjson does not write
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {str(value)[:60]!r}")


def _from_torch(tensor: Any) -> np.ndarray:
    """Turn a torch tensor into an array. Its method `detach` tells it apart, so torch need not be imported."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()  # numpy has no bfloat16


def refuse_non_finite(vector: Any, where: str) -> None:
    """Raise InvalidRequestError for NaN and infinity, which JSON would silently turn into null.

    `vector` is any value of a row: a number, a sequence of floats, an array, a tensor, or a dict of such values. The
    message calls it `where`.
    """
    if isinstance(vector, dict) or (isinstance(vector, list | tuple) and vector and isinstance(vector[0], dict | list)):
        for part in vector.values() if isinstance(vector, dict) else vector:
            refuse_non_finite(part, where)
        return
    if hasattr(vector, "detach"):
        vector = _from_torch(vector)
    if isinstance(vector, np.ndarray) and vector.dtype.kind == "f":
        finite = bool(np.isfinite(vector).all())
    else:
        numbers = vector if isinstance(vector, list | tuple) else [vector]
        finite = all(math.isfinite(x) for x in numbers if isinstance(x, float | np.floating))
    if not finite:
        raise errors.InvalidRequestError(
            f"{where} holds NaN or infinity: nothing can be compared with it. Look at the step that made it."
        )
