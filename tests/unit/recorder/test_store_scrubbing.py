"""Free space in pages is cleared of copies of deleted data: on the disk, seldom, in pieces, and without harm if it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store import anew, deleting, sqlite
from dynamiq_recorder.store.database import Connection
from dynamiq_recorder.store.results import Retention, Unavailable
from dynamiq_recorder.store.schema import migrations
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, HOUR, NOON, a_run, batch

DAY = 24 * HOUR


class Watched(sqlite.SqliteDatabase):
    """A database that notes its calls. `fails`: calls that raise Unavailable."""

    def __init__(self, path: Path) -> None:
        self.asked: list[str] = []
        self.fails: set[str] = set()
        super().__init__(path, cache=1 << 20)

    def deleted(self) -> None:
        self._note("deleted")
        super().deleted()

    def scrub(self) -> None:
        self._note("scrub")
        super().scrub()

    def _note(self, what: str) -> None:
        self.asked.append(what)
        if what in self.fails:
            raise Unavailable("the disk is full")


class Stage:
    """A store whose clock stands at noon."""

    def __init__(self, path: Path) -> None:
        self.database = Watched(path)
        self.store: Store = Store(self.database, migrations("sqlite"), lambda: NOON)
        self.database.asked.clear()

    def asked(self, *calls: Callable[[], object]) -> list[str]:
        for call in calls:
            call()
        found, self.database.asked = self.database.asked, []
        return found

    def retain(self, after: int) -> Callable[[], int]:
        return lambda: self.store.retain(NOON + after, Retention())


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Yields the stage of a store that counts as large."""
    monkeypatch.setattr(deleting, "SMALL", 0)
    monkeypatch.setattr(sqlite, "SMALL", 0)
    made = Stage(tmp_path / "runs.db")
    made.store.write([batch(*(a_run(number, user_id="ann", tags=("eu",)) for number in range(1, 9)))])
    yield made
    made.store.close()


def test_the_keys_of_an_index_are_sorted_in_files_beside_the_store_and_not_in_memory(stage: Stage, tmp_path: Path) -> None:
    names = "app_key, source, status, trace_id, started_at, duration, unpriced, model_calls, node_count, content_kept"
    many = f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
        INSERT INTO runs (id, user_id, {names}) SELECT randomblob(16), 'user-' || (i * 7919 % 40009), {names} FROM n, runs r WHERE r.seq IS NULL
        AND r.key = 1"""  # noqa: S608 - our own names
    stage.database.transact(lambda connection: connection.do(many))
    seen: set[str] = set()

    def look() -> int:
        for each in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                seen.add(str(each.readlink()))
        return 0

    stage.database._writer.set_progress_handler(look, 20_000)
    stage.database.scrub()
    stage.database._writer.set_progress_handler(None, 0)

    assert {Path(each).parent for each in seen if "etilqs" in each} == {tmp_path}
    assert stage.database._writer.execute("PRAGMA temp_store").fetchone() == (2,)
    assert list(tmp_path.glob("etilqs*")) == []


def test_a_large_store_is_scrubbed_once_a_day_and_space_is_given_back_before_and_after(stage: Stage) -> None:
    assert stage.asked(lambda: stage.store.delete_run(APP, a_run(1).id)) == ["deleted"]
    assert stage.asked(stage.retain(0)) == ["scrub", "deleted"]
    stage.store.delete_run(APP, a_run(2).id)
    assert stage.asked(stage.retain(HOUR), stage.retain(20 * HOUR)) == ["deleted"]
    assert stage.asked(stage.retain(23 * HOUR)) == ["scrub", "deleted"]
    assert stage.asked(stage.retain(50 * HOUR)) == []
    stage.store.delete_run(APP, a_run(3).id)
    assert stage.asked(stage.retain(90 * DAY)) == ["deleted", "deleted", "scrub", "deleted"]


def test_deletions_one_after_the_other_write_a_small_store_anew_once_and_the_rest_waits_for_retention(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes wait meanwhile: repeated deletions would otherwise delay all others."""
    monkeypatch.setattr(deleting, "SMALL", 1 << 30)
    assert stage.asked(lambda: stage.store.delete_run(APP, a_run(1).id)) == ["scrub", "deleted"]
    assert stage.asked(*(lambda number=number: stage.store.delete_run(APP, a_run(number).id) for number in (2, 3))) == ["deleted"] * 2
    assert stage.asked(stage.retain(0)) == ["scrub", "deleted"]


def test_a_scrub_that_fails_or_kills_is_tried_three_times_a_day(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.store.delete_run(APP, a_run(1).id)
    stage.database.asked.clear()
    stage.database.fails = {"scrub"}
    assert stage.asked(stage.retain(0), stage.retain(1), stage.retain(2)) == ["scrub", "deleted"] * 3
    assert "the disk is full" in caplog.text
    assert "failed 3 times" not in caplog.text
    assert stage.asked(stage.retain(3)) == []
    assert "failed 3 times" in caplog.text
    assert stage.asked(stage.retain(DAY), stage.retain(DAY + 1)) == ["scrub", "deleted"] * 2
    stage.database.fails.clear()
    assert stage.asked(stage.retain(DAY + 2), stage.retain(DAY + 3), stage.retain(3 * DAY)) == ["scrub", "deleted"]


@pytest.mark.parametrize("fails", ["scrub", "deleted"])
def test_deleted_runs_are_counted_though_nothing_can_be_overwritten(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    monkeypatch.setattr(deleting, "SMALL", 1 << 30)
    assert (
        stage.asked(lambda: stage.store.delete_run(APP, a_run(99).id), lambda: stage.store.delete(Filter(app_uid=APP, user_id="bob"))) == []
    )
    stage.database.fails = {fails}
    assert stage.store.delete_run(APP, a_run(1).id)
    assert stage.store.delete(Filter(app_uid=APP, user_id="ann")) == 7
    assert caplog.text.count("not overwritten yet") == 2
    stage.database.fails.clear()
    assert "deleted" in stage.asked(stage.retain(90 * DAY))


def test_a_failing_piece_raises_and_the_former_pieces_are_overwritten(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "MANY", 4)
    whole = deleting._delete_some
    left = [whole]

    def some(*given: object) -> object:
        if not left:
            raise ValueError("the second piece")
        return left.pop()(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(deleting, "_delete_some", some)
    stage.database.fails = {"deleted"}
    with pytest.raises(ValueError, match="the second piece"):
        stage.store.delete(Filter(app_uid=APP))
    assert stage.asked() == ["deleted"]


def _lines(stage: Stage, table: str) -> list[tuple[object, ...]]:
    with stage.database.reading() as connection:
        return connection.all(f"SELECT * FROM {table} ORDER BY {', '.join(anew.TABLES[table])}")  # noqa: S608 - our own names


@pytest.mark.parametrize("killed", [None, 3, 9, 14])
def test_tables_are_written_anew_in_pieces_while_others_write(stage: Stage, monkeypatch: pytest.MonkeyPatch, killed: int | None) -> None:
    """`killed`: the process ends after this many transactions, and the next one starts again."""
    monkeypatch.setattr(anew, "PIECE", 3)
    stage.store.write([batch(*(a_run(number, error=f"no {number}", tags=("eu", "us")) for number in range(20, 40, 2)))])
    transact, done = stage.database.transact, 0

    def between(work: Callable[[Connection], object]) -> object:
        nonlocal done
        if done == killed:
            raise KeyboardInterrupt
        found, done = transact(work), done + 1
        if done < 18:
            monkeypatch.setattr(stage.database, "transact", transact)
            stage.store.write([batch(a_run(19 + 2 * done, error=f"no {done}", tags=("eu", "new")))])
            stage.store.delete_run(APP, a_run(18 + 2 * done).id)
            transact(lambda connection: connection.do("UPDATE labels SET app_key = 7 WHERE run_key = ?", (done,)))
            monkeypatch.setattr(stage.database, "transact", between)
        return found

    monkeypatch.setattr(stage.database, "transact", between)
    with contextlib.suppress(KeyboardInterrupt):
        stage.database.scrub()
    monkeypatch.setattr(stage.database, "transact", transact)
    before = {table: _lines(stage, table) for table in anew.TABLES}
    stage.store.delete_run(APP, a_run(19 + 2 * done - 2).id)
    gone = {table: [line for line in lines if line not in _lines(stage, table)] for table, lines in before.items()}
    stage.database.scrub()

    with stage.database.reading() as connection:
        keys = {line[0] for line in connection.all("SELECT key FROM runs")}
        made = connection.all(
            "SELECT name FROM sqlite_master WHERE name LIKE '%\\_anew' ESCAPE '\\' OR name LIKE '%\\_old' ESCAPE '\\' OR type = 'trigger'"
        )
    assert made == []
    assert {line[-1] for line in _lines(stage, "labels")} <= keys
    for table in anew.TABLES:
        assert _lines(stage, table) == [line for line in before[table] if line not in gone[table]]
    tagged = stage.store.page(Filter(app_uid=APP, tags=("new",), error="no"))
    assert tagged.total == len([line for line in _lines(stage, "labels") if line[0] != 7 and line[2] == "new"])
