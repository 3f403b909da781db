"""A client for Memora with the SDK's names: change one import line and the real SDK takes over.

>>> from helpers.memora import Memora                                   # doctest: +SKIP
>>> client = Memora(api_key="...", project_id="...", base_url="https://...")  # doctest: +SKIP
>>> client.collections.list()                                           # doctest: +SKIP
{'data': ['reverse_image_search']}
"""

from helpers.memora.client import Memora
from helpers.memora.errors import (
    AlreadyExistsError,
    AuthenticationError,
    InvalidRequestError,
    MemoraError,
    NotFoundError,
    UnavailableError,
)
