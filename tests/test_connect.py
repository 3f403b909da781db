"""connect(): hosted Memora where all three settings name one, else the local one, always in the same place."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

import helpers.connect
import helpers.settings
from helpers.connect import LOCAL_KEY, LOCAL_PROJECT, connect, memora_home, playground
from helpers.memora import InvalidRequestError, Memora, NotFoundError, UnavailableError
from helpers.memora.models import Collection
from helpers.settings import HOSTED, ROOT, setting
from local_memora import __main__ as command
from tests.clean_state import SETTINGS
from tests.local_memora.milvus_server import milvus_server, why_not

KEY = "sk-3f9a-a-secret-that-must-not-show"
ALL_THREE = {"MEMORA_API_KEY": KEY, "MEMORA_PROJECT_ID": "museum", "MEMORA_URL": "https://memora.test/v1"}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository root of our own, with no variable set, so that neither yours nor your `.env` is read."""
    for name in (*SETTINGS, "MEMORA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for room in (helpers.settings, helpers.connect):
        monkeypatch.setattr(room, "ROOT", tmp_path)
    return tmp_path


def write_env(root: Path, settings: dict[str, str], encoding: str = "utf-8") -> None:
    (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding=encoding)


def set_env(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


# Which Memora --------------------------------------------------------------------------------------------------


def test_nothing_set_means_the_local_memora_and_one_line_says_so(capsys, root):
    client = connect()
    assert capsys.readouterr() == ("Memora: the local one, data in .memora\n", "")
    assert client.collections.list() == {"data": []}
    assert (root / ".memora").is_dir()
    assert capsys.readouterr() == ("", "")


def test_three_settings_mean_a_hosted_memora_and_hide_the_key(capsys, monkeypatch, root):
    set_env(monkeypatch, ALL_THREE)
    client = connect()
    assert capsys.readouterr() == ("Memora: project 'museum' at https://memora.test/v1\n", "")
    assert repr(client) == "Memora(project_id='museum', base_url='https://memora.test/v1')"
    assert not (root / ".memora").exists()  # nothing local is made


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_dot_env_file_is_read_also_one_that_windows_wrote(capsys, root, encoding):
    write_env(root, ALL_THREE, encoding)
    assert connect().project_id == "museum"
    assert capsys.readouterr().out == "Memora: project 'museum' at https://memora.test/v1\n"


def test_a_dot_env_file_leaves_the_environment_alone(root):
    write_env(root, ALL_THREE)
    connect()
    assert not any(name in os.environ for name in HOSTED)


def test_the_environment_wins_over_dot_env_name_by_name(monkeypatch, root, capsys):
    write_env(root, ALL_THREE)
    monkeypatch.setenv("MEMORA_PROJECT_ID", "zoo")
    connect()
    assert capsys.readouterr().out == "Memora: project 'zoo' at https://memora.test/v1\n"


def test_empty_variables_count_as_not_set_and_win_over_dot_env(monkeypatch, root, capsys):
    write_env(root, ALL_THREE)  # the way to work locally for once
    set_env(monkeypatch, dict.fromkeys(ALL_THREE, ""))
    connect()
    assert capsys.readouterr().out.startswith("Memora: the local one")
    write_env(root, dict.fromkeys(ALL_THREE, ""))
    assert setting("MEMORA_API_KEY") is None


@pytest.mark.parametrize("given", [{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}], ids=str)
@pytest.mark.parametrize("place", ["environment", "environment, one empty", ".env"])
def test_half_set_is_refused_naming_what_is_missing_and_nothing_is_made(capsys, monkeypatch, root, given, place):
    some = {name: ALL_THREE[name] for n, name in enumerate(HOSTED) if n in given}
    if place == ".env":
        write_env(root, some)
    else:
        set_env(monkeypatch, (dict.fromkeys(HOSTED, "") if "empty" in place else {}) | some)
    with pytest.raises(InvalidRequestError) as caught:
        connect()
    there, missing = str(caught.value).split(" set, but not ")
    missing = missing.split(": a Memora over HTTP needs all three.")[0]
    assert there.split(" and ") == list(some)
    assert missing.split(" and ") == [name for name in HOSTED if name not in some]
    assert KEY not in str(caught.value)
    assert capsys.readouterr() == ("", "")
    assert not (root / ".memora").exists()


def test_wrong_hosted_settings_are_refused_before_anything_is_said(capsys, monkeypatch):
    set_env(monkeypatch, {**ALL_THREE, "MEMORA_URL": "memora.test"})
    with pytest.raises(InvalidRequestError, match="must start with http:// or https://"):
        connect()
    set_env(monkeypatch, {**ALL_THREE, "MEMORA_API_KEY": "copied with a break\n"})
    with pytest.raises(InvalidRequestError, match="copy it again"):
        connect()
    assert capsys.readouterr().out == ""


# Where the data is ---------------------------------------------------------------------------------------------


def test_memora_home_moves_the_data_and_the_line_says_so(capsys, monkeypatch, root):
    home = root / "far away" / "elsewhere é"
    monkeypatch.setenv("MEMORA_HOME", str(home))
    connect().collections.create(collection=Collection("c", 2))
    assert capsys.readouterr().out == "Memora: the local one, data in .../elsewhere é\n"
    assert (home / "catalogue.sqlite").is_file()
    assert not (root / ".memora").exists()
    assert connect().collections.list()["data"] == ["c"]
    monkeypatch.delenv("MEMORA_HOME")
    assert connect().collections.list()["data"] == []


def test_memora_home_may_be_in_dot_env_relative_or_start_at_home(monkeypatch, root):
    write_env(root, {"MEMORA_HOME": "from/dot-env"})
    assert memora_home() == root / "from/dot-env"
    monkeypatch.setenv("MEMORA_HOME", "")
    assert memora_home() == root / ".memora"
    monkeypatch.setenv("HOME", str(root / "me"))
    monkeypatch.setenv("MEMORA_HOME", "~/data")
    assert memora_home() == root / "me" / "data"
    monkeypatch.setenv("MEMORA_HOME", str(root / "absolute"))
    assert memora_home() == root / "absolute"


def test_the_data_are_in_one_place_wherever_a_notebook_starts(tmp_path):
    said = subprocess.run(
        [sys.executable, "-c", "from helpers.connect import memora_home; print(memora_home())"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MEMORA_HOME": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said == f"{ROOT / '.memora'}\n"


@pytest.mark.parametrize(
    "engine", ["localhost:19530", "127.0.0.1:19530", "ftp://me:secret@host:1", "HTTP://host:19530"]
)
def test_an_engine_that_is_no_folder_and_no_url_makes_no_folder(capsys, monkeypatch, root, engine):
    monkeypatch.setenv("MEMORA_ENGINE", engine)
    with pytest.raises(
        InvalidRequestError, match="is not the URL of a Milvus server, which starts with http://"
    ) as refused:
        connect()
    assert "MEMORA_ENGINE" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert capsys.readouterr().out == ""
    assert list(root.iterdir()) == []


def test_a_milvus_server_gets_its_token_from_the_settings(capsys, monkeypatch, root):
    """A wrong token is told apart from a server that is dead."""
    if reason := why_not():
        pytest.skip(reason)
    with milvus_server(root / "milvus", guarded=True) as url:
        for token in ("", "root:not-this-secret", "neither-this-secret"):
            write_env(root, {"MEMORA_ENGINE": url, "MEMORA_ENGINE_TOKEN": token})
            with pytest.raises(
                UnavailableError, match="does not answer: is it running, is MEMORA_ENGINE_TOKEN right"
            ) as refused:
                connect()
            assert "secret" not in str(refused.value)
        write_env(root, {"MEMORA_ENGINE": url, "MEMORA_ENGINE_TOKEN": "root:Milvus"})
        client = connect()
        assert capsys.readouterr().out == f"Memora: the local one, data on the Milvus server at {url}\n"
        client.collections.create(collection=Collection("guarded", 2))
        served = command.build(command.engine(None), LOCAL_KEY, [LOCAL_PROJECT], 4)
        over = Memora(LOCAL_KEY, LOCAL_PROJECT, "http://served.invalid", transport=httpx.WSGITransport(app=served))
        assert over.collections.list() == {"data": ["guarded"]}
    with pytest.raises(UnavailableError, match="does not answer"):
        connect()


def test_make_serve_keeps_the_data_where_the_notebooks_settings_say(monkeypatch, root):
    write_env(root, {"MEMORA_ENGINE": "from/dot-env", "MEMORA_API_KEY": "of-hosted-memora"})
    assert command.engine(None) == memora_home() == root / "from/dot-env"
    assert command.key(None) != "of-hosted-memora"
    write_env(root, {"MEMORA_HOME": "home", "MEMORA_ENGINE": "http://localhost:19530"})
    assert command.engine(None) == "http://localhost:19530"
    assert memora_home() == root / "home"
    monkeypatch.setenv("MEMORA_ENGINE", "")  # set but empty: not set, whatever .env says
    assert command.engine(None) == memora_home() == root / "home"


def test_a_folder_may_be_called_almost_anything(monkeypatch, root):
    for folder in ("da:ta", "a b/19530", "localhost"):
        monkeypatch.setenv("MEMORA_ENGINE", folder)
        assert memora_home() == root / folder


def test_what_one_client_stores_the_next_one_finds(root):
    with connect() as first:
        first.collections.create(collection=Collection("c", 2))
        first.vectors.insert(collection_name="c", data={"id": 1, "vector": [1, 0]})
    with connect() as second:
        assert second.vectors.get(collection_name="c", id=1)["data"] == [{"id": 1, "vector": [1.0, 0.0]}]


# The playground ------------------------------------------------------------------------------------------------


def test_nothing_done_in_a_playground_touches_the_real_collections(capsys, monkeypatch):
    real = connect()
    real.collections.create(collection=Collection("c", 2))
    capsys.readouterr()
    set_env(monkeypatch, ALL_THREE)  # not even hosted ones
    with playground() as one, playground() as other:
        assert len(capsys.readouterr().out.splitlines()) == 2  # one line each
        assert one.collections.list() == other.collections.list() == {"data": []}
        one.collections.create(collection=Collection("mine", 2))
        with pytest.raises(NotFoundError):
            one.collections.drop(collection_name="c")
        assert other.collections.list() == {"data": []}
    assert real.collections.list() == {"data": ["c"]}


def test_a_playground_is_gone_when_its_process_ends(tmp_path):
    work = "from helpers.connect import playground; playground().collections.list()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", work], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert list(tmp_path.glob("memora-playground-*")) == []


def test_a_playground_on_milvus_is_dropped_when_its_process_ends(monkeypatch, milvus_url, tmp_path):
    """It is a database of its own."""
    from pymilvus import MilvusClient

    monkeypatch.setenv("MEMORA_ENGINE", milvus_url)
    real = connect()
    real.collections.create(collection=Collection("real", 2))
    before = sorted(MilvusClient(milvus_url).list_databases())
    work = """
from helpers.connect import milvus_url, playground
from helpers.memora.models import Collection
from pymilvus import MilvusClient
sandbox = playground(engine=milvus_url())
assert sandbox.collections.list()["data"] == []
sandbox.collections.create(collection=Collection("mine", 2))
assert sandbox.project_id in MilvusClient(milvus_url()).list_databases()
"""
    ended = subprocess.run([sys.executable, "-c", work], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(f"Memora: a playground, on the Milvus server at {milvus_url}, empty")
    assert ended.stderr == ""
    assert sorted(MilvusClient(milvus_url).list_databases()) == before
    assert "real" in real.collections.list()["data"]
    real.collections.drop(collection_name="real")


def test_a_playground_in_a_folder_that_is_given_leaves_it_to_its_owner(tmp_path):
    work = f"from helpers.connect import playground; playground(home=__import__('pathlib').Path({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", work], cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "catalogue.sqlite").exists()


@pytest.mark.parametrize(
    ("goes_on", "seconds", "told"),
    [
        ("time.sleep(600)", 0.2, r"did not serve within 0\.2 seconds\. It printed: "),
        ("sys.exit(3)", 600, r"(?s)ended before it served\. It printed: .*the disk is full$"),
    ],
    ids=["hangs", "ends"],
)
def test_a_served_playground_that_does_not_start_says_why(monkeypatch, root, goes_on, seconds, told):
    """Without an end the first cell of a lesson would hang; without its words nobody could mend it."""
    (root / "local_memora").mkdir()
    (root / "local_memora" / "__init__.py").touch()
    says = "print('MEMORA_URL=http://127.0.0.1:1', flush=True); print('the disk is full', file=sys.stderr, flush=True)"
    (root / "local_memora" / "__main__.py").write_text(f"import sys, time\n{says}\n{goes_on}\n", encoding="utf-8")
    monkeypatch.setattr(helpers.connect, "START_SECONDS", seconds)
    started = []
    monkeypatch.setattr(helpers.connect.subprocess, "Popen", spying(subprocess.Popen, started))
    with pytest.raises(UnavailableError, match=told):
        playground(served=True)
    assert started[0].wait(600) is not None, "nothing is left running"


def spying(function: Callable, results: list) -> Callable:
    """Return a function that also puts what it returns into a list."""

    def call(*arguments: object, **named: object) -> object:
        results.append(function(*arguments, **named))
        return results[-1]

    return call


def test_a_served_playground_answers_and_goes_on_though_it_logs_much(monkeypatch):
    """What it prints is read to the end: a pipe that nobody empties would stop it."""
    monkeypatch.setattr(helpers.connect, "ROOT", ROOT)
    with playground(served=True) as client:
        assert client.collections.list() == {"data": []}


def test_a_served_playground_ends_with_a_kernel_that_is_killed(tmp_path):
    """Nobody else would end it: it would keep its memory, and serve for ever."""
    import psutil

    work = f"from helpers.connect import *; playground(served=True, home=Path({str(tmp_path)!r})); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    kernel = subprocess.Popen([sys.executable, "-c", work], cwd=ROOT, text=True, **pipes)
    try:
        assert kernel.stdout
        assert kernel.stdout.readline().startswith("Memora: a playground, in a process of its own")
        (server,) = psutil.Process(kernel.pid).children()
        kernel.kill()
        with suppress(psutil.NoSuchProcess):
            server.wait(600)
    finally:
        kernel.kill()
        kernel.communicate()


def test_a_password_in_the_url_is_not_printed(monkeypatch, capsys):
    set_env(monkeypatch, {**ALL_THREE, "MEMORA_URL": "https://me:secret@memora.test/v1"})
    connect()
    assert capsys.readouterr().out == "Memora: project 'museum' at https://memora.test/v1\n"
