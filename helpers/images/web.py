"""Pictures on the web: fetched within limits, and not from private networks."""

import base64
import binascii
import ipaddress
import socket
import time
import urllib.parse
import urllib.request

import httpx

from helpers.images.errors import ImageError
from helpers.settings import setting

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 30.0  # for the whole picture; a server that sends a byte now and then never times out otherwise
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
AGENT = "memora-image-search (a tutorial on searching by image)"  # some sites refuse programs without a name
ALLOW_PRIVATE = "MEMORA_ALLOW_PRIVATE_ADDRESSES"  # set to 1, pictures of this machine and its network may be fetched
PRIVATE = f"it leads to this machine or a private network; set {ALLOW_PRIVATE}=1 to allow that"
SAVE_IT = "save the picture with a browser, and pass the file"
ADVICE = {401: SAVE_IT, 403: SAVE_IT, 404: "check the address", 410: "the picture is gone", 429: "wait, and try again"}


def fetch(url: str) -> bytes:
    """Fetch a picture's bytes: at most MAX_BYTES of them, for at most about MAX_SECONDS.

    Addresses that lead to this machine or a private network are refused, redirects included: someone who uses a page
    that is served from here must not reach what only this machine can reach. An ImageError says what went wrong.
    """
    end = time.monotonic() + MAX_SECONDS
    client = httpx.Client(
        headers={"User-Agent": AGENT},
        timeout=TIMEOUT,
        follow_redirects=True,
        event_hooks={"request": [_check_name], "response": [_check_peer]},  # both are called for each redirect too
    )
    try:
        with client, client.stream("GET", url) as response:
            response.raise_for_status()
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise ImageError(url, f"larger than {MAX_BYTES >> 20} MB: download and shrink it first")
                if time.monotonic() > end:
                    raise ImageError(url, f"not complete after {MAX_SECONDS:.0f} s: download it first")
            return bytes(content)
    except PermissionError as error:
        raise ImageError(url, str(error)) from None
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        advice = ADVICE.get(status, "try again later, or " + SAVE_IT)
        raise ImageError(url, f"the server answered {status}: {advice}") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
        # UnicodeError: an impossible host name; OSError: the server hung up before its own address was looked at
        raise ImageError(url, f"can't be fetched ({error or type(error).__name__}); are you online?") from None


def _check_name(request: httpx.Request) -> None:
    """Refuse a host whose address is private, before it is asked."""
    try:
        found = socket.getaddrinfo(request.url.host, None)
    except (OSError, UnicodeError):
        return  # the name is unknown, which the request will report; or only a proxy knows it
    for *_, address in found:
        _check(str(address[0]))


def _check_peer(response: httpx.Response) -> None:
    """Refuse an answer from a private address: the name may have led elsewhere when it was checked."""
    if not urllib.request.getproxies():  # a proxy may well be in the private network
        _check(str(response.extensions["network_stream"].get_extra_info("server_addr")[0]))


def _check(address: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if (not ip.is_global or ip.is_multicast) and setting(ALLOW_PRIVATE) != "1":
        raise PermissionError(PRIVATE)


def from_data_url(url: str) -> bytes:
    """Return the bytes that a `data:` address holds; ImageError if they are damaged, or too many."""
    kind, _, data = url.partition(",")
    if len(data) > 2 * MAX_BYTES:
        raise ImageError(url, f"larger than {MAX_BYTES >> 20} MB")
    content = urllib.parse.unquote_to_bytes(data)
    if kind.lower().endswith(";base64"):
        try:
            content = base64.b64decode(content)
        except binascii.Error as error:
            raise ImageError(url, f"a data: address that is cut off or damaged ({error})") from None
    return content
