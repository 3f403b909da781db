"""The embedded engine: LanceDB in a folder."""

import importlib.util
import os
import sys
from types import ModuleType

from pydantic import BaseModel

os.environ.setdefault("LANCEDB_LOG", "error")  # read when lancedb is imported; warnings would name paths in notebooks
REST_CLIENT = "lance_namespace_urllib3_client"


class _Later(ModuleType):
    """A package whose own code runs when something in it is asked for; its modules can be imported before."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _import_lancedb() -> None:
    """Import LanceDB without what only its client for servers needs, which costs two thirds of the time.

    Pydantic builds the models of that client when they are first used; the calls that it can make are imported then.
    """
    if "lancedb" in sys.modules:
        return
    if REST_CLIENT not in sys.modules and (spec := importlib.util.find_spec(REST_CLIENT)):
        package: ModuleType = importlib.util.module_from_spec(spec)
        package.__class__ = _Later
        sys.modules[REST_CLIENT] = package
    before = BaseModel.model_config.get("defer_build", False)
    BaseModel.model_config["defer_build"] = True
    try:
        importlib.import_module("lancedb")
    finally:
        BaseModel.model_config["defer_build"] = before


_import_lancedb()
