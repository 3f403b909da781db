"""Which tests run where: what `make test` leaves to `make test-all`, and which tests share a process.

`make test` runs everything without the mark `thorough`; `pytest -m thorough` runs what `make test-all` adds.
"""

from typing import Any

import pytest
from nbval.plugin import IPyNbCell

from tests.execute_notebooks import MEASURED, edited

# What only `make test-all` runs: whole files, or single tests. Tests on a Milvus server belong to it too (see `api`).
THOROUGH = {
    "tests/browser/test_panel.py": "a browser; `make test` walks three ways through the panel",
    "tests/local_memora/test_durability.py": "processes that are killed, or write at once",
    "tests/local_memora/test_durability_disk.py": "full and read-only disks",
}
# and what it runs of those files nevertheless.
QUICK = {
    "tests/browser/test_panel.py::test_a_picture_from_the_gallery_finds_what_the_search_finds",
    "tests/browser/test_panel.py::test_a_picture_from_ones_own_disk_is_searched_by_and_again_when_chosen_again",
    "tests/browser/test_panel.py::test_with_the_keyboard_alone_from_the_beginning_to_why_the_second_hit_was_found",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the thorough tests, and make large sizes in notebooks smaller."""
    for item in items:
        name = item.nodeid.partition("[")[0]
        file = name.partition("::")[0]
        needs_milvus = "milvus_url" in getattr(item, "fixturenames", ())
        if needs_milvus or ({file, name} & THOROUGH.keys() and name not in QUICK):
            item.add_marker(pytest.mark.thorough)
        if isinstance(item, IPyNbCell):
            item.cell.source = edited(item.path.stem, item.cell.source)
            item.options["check"] &= MEASURED not in item.cell.metadata.get("tags", [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests out among the processes of `pytest -n 2` by file."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        """The notebooks go to one process, as they build on each other; so do the tests that share a Milvus server."""

        def _split_scope(self, nodeid: str) -> str:
            if "milvus" in nodeid:
                return "milvus"
            return "notebooks" if nodeid.startswith("notebooks/") else super()._split_scope(nodeid)

        def remove_node(self, node: Any) -> str | None:
            """Forget a process; if it crashed, return the test it crashed in, which is not run again."""
            units = self.assigned_work.pop(node)
            left = [(unit, nodeid) for unit in units.values() for nodeid, done in unit.items() if not done]
            if not left:
                return None
            unit, crashed = left[0]
            unit[crashed] = True
            self.workqueue.update({name: unit for name, unit in units.items() if not all(unit.values())})
            for other in self.nodes:
                self._reschedule(other)
            return crashed

    config.option.loadscopereorder = False  # the order of the files: the notebooks take longest and come first
    return ByFile(config, log)
