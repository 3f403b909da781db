"""The kit's pictures in a class: embedded once, in the shared project and in each student's own."""

import pytest

from helpers.connect import COLLECTION, local_client
from helpers.ingest import stored_rows
from local_memora.classroom import register
from teaching.exercises import NOTEBOOKS, read
from teaching.shared import FIRST, main
from tests.facts import PICTURES


def test_every_student_gets_the_pictures_with_their_vectors_once(tmp_path, capsys):
    register.found(tmp_path, "class", "http://class.invalid", 2)
    with local_client(tmp_path, project="student-02") as client:
        main([str(tmp_path)])
        assert "2 of 2 students were given a copy" in capsys.readouterr().out
        mine = stored_rows(client, COLLECTION, ["*"])
        with local_client(tmp_path, project="shared") as shared:
            assert mine == stored_rows(shared, COLLECTION, ["*"])
        assert len(mine) == PICTURES
        assert mine == stored_rows(client, FIRST, ["*"])
        lesson = read(NOTEBOOKS / "00_first_search.ipynb")
        assert [cell.id for cell in lesson.cells if f'"{FIRST}"' in cell.source] == ["settings"]

        one = next(iter(mine))
        client.vectors.delete(collection_name=COLLECTION, filter=f"id == {one}")
        main([str(tmp_path)])  # what a student has done with the collection stays
        assert "0 added" in (said := capsys.readouterr().out)
        assert "0 of 2 students were given a copy" in said
        assert len(stored_rows(client, COLLECTION, ["*"])) == PICTURES - 1


@pytest.mark.parametrize("arguments", [[], ["/nonexistent"], ["a", "b"]])
def test_a_folder_without_a_class_is_named_and_not_made(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="There is no class in"):
        main(arguments)
    assert list(tmp_path.iterdir()) == []
