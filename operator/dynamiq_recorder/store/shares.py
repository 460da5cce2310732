"""Counts the bytes of each App in a store whose disk is known, by a tally in the notes. It limits none.

Whatever writes or deletes lines of runs keeps the tally. It is an estimate. Text counts by its bytes, and by the pages that long text has
for itself. All else counts by the mean of a line with its indexes. Runs of an older program's store are added later, in pieces, the newest
first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter

from dynamiq_recorder.store.columns import RUN_COLUMNS, SPAN_COLUMNS, Gathered
from dynamiq_recorder.store.database import MANY, Cell, Connection, Database

RUN, SPAN, LABEL = 700, 80, 40
"""Bytes of a run without nodes, of a node, and of a tag or model by which runs are found, each without its texts."""
PAGE, APART, HALF = 4096, 1000, 2000
"""Bytes of a page, of the longest index line that shares a page, and of the longest table line that shares one."""
TAKEN = "bytes/{app}"
COUNTED_FROM = "counted_from"
"""Note of the first key of the runs in the tally; it is missing once all are in it."""
PIECES = 1_000
"""Most pieces of an older program's runs that are added at once."""
_ADD = "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = max(notes.value + excluded.value, 0)"
_COUNTED = f"r.key >= (SELECT coalesce(max(value), 0) FROM notes WHERE name = '{COUNTED_FROM}')"  # noqa: S608 - our own names
_RUN_TEXTS = ("reason", "pins", "workflow_hash", "trace_id")
_LISTED = ("tags", "models")
"""Texts of runs that are labels, too."""
_INDEXED = ("trigger_name", "session_id", "user_id", "workflow_version")
_SPAN_TEXTS = ("span_id", "parent_id", "node_id", "name", "type", "model", "provider", "error_type")


def _sql(columns: Sequence[str]) -> str:
    """Returns SQL of the bytes of columns. They are joined, as in `_octets`, so that they are cast once."""
    joined = " || ".join(f"coalesce({name}, '')" for name in columns)
    return f"length(CAST({joined} AS BLOB))"


def _sql_in_index(size: str) -> str:
    return f"CASE WHEN {size} > {APART} THEN ({size} + {PAGE - 1}) / {PAGE} * {PAGE} ELSE {size} END"


def _sql_in_table(size: str) -> str:
    return f"CASE WHEN {size} > {HALF} THEN max({size}, {PAGE}) ELSE {size} END"


_OF_RUN = " + ".join(
    [
        str(RUN),
        _sql((*_RUN_TEXTS, *_INDEXED, *_LISTED, *_LISTED)),
        *(_sql_in_index(_sql((name,))) for name in _INDEXED),
        *(f"{LABEL} * coalesce(json_array_length({name}), 0)" for name in _LISTED),
    ]
)
_OF_TABLES = {
    "runs": f"SELECT r.app_key, sum({_OF_RUN}) FROM runs r",  # noqa: S608 - our own names
    "spans": f"SELECT r.app_key, sum({SPAN} + {_sql_in_index(_sql([f's.{name}' for name in _SPAN_TEXTS]))}) "  # noqa: S608 - our own names
    "FROM runs r JOIN spans s ON s.run_key = r.key",
    "contents": f"SELECT r.app_key, sum({_sql_in_table(_sql(('c.error', 'c.input', 'c.output')))}) "  # noqa: S608 - our own names
    "FROM runs r JOIN contents c ON c.run_key = r.key",
    "extras": f"SELECT r.app_key, sum({_sql_in_table(_sql(('e.extra',)))}) "  # noqa: S608 - our own names
    "FROM runs r JOIN extras e ON e.run_key = r.key",
    "errors": f"SELECT r.app_key, sum({_sql_in_index(_sql(('e.folded',)))}) FROM runs r "  # noqa: S608 - our own names
    "JOIN errors e ON e.app_key = r.app_key AND e.started_at = r.started_at AND e.run_key = r.key",
}


def _cells(columns: Sequence[str], names: Sequence[str]) -> Callable[[Cell], tuple[str | None, ...]]:
    return itemgetter(*(columns.index(name) for name in names))


_texts_of_run, _listed_of_run = _cells(RUN_COLUMNS, (*_RUN_TEXTS, *_INDEXED)), _cells(RUN_COLUMNS, _LISTED)
_indexed_of_run, _texts_of_span = _cells(RUN_COLUMNS, _INDEXED), _cells(SPAN_COLUMNS, _SPAN_TEXTS)

BESIDE, BESIDE_ALL = "beside/{app}", "beside/%"
"""Note of what an App has beside its runs: figures, shapes, scores, processes, and ids of runs that were deleted. It is counted anew now and then."""
_SKETCHED = 150
"""Bytes of a line of figures, without its texts and sketches."""
_OF_FIGURES = _sql_in_index(f"{_SKETCHED} + {_sql(('workflow_version', 'trigger_name'))} + 3 * length(sketch)")
_OF_NODE = f"{_SKETCHED} + length(sketch) + {_sql(('node_id', 'model', 'name'))}"
_OF_NODES = f"{_sql_in_index(_OF_NODE)} + {_sql_in_index(_sql(('node_id', 'model')))}"
_OF_SCORES = f"{LABEL} + {_sql_in_index(_sql(('s.name', 's.by_whom', 's.comment')))}"
_OF_INSTANCES = f"{SPAN} + 2 * {_sql(('instance_id', 'pod_uid'))}"
_OF_SHAPES = f"{SPAN} + {_sql_in_table(_sql(('key_name', 'trigger_name', 'field_counts')))}"
_BESIDE = (
    "SELECT app_key, sum(size) FROM ("  # noqa: S608 - our own names
    f"SELECT app_key, {_OF_FIGURES} AS size FROM rollups "
    f"UNION ALL SELECT app_key, {_OF_NODES} FROM node_rollups "
    f"UNION ALL SELECT r.app_key, {_OF_SCORES} FROM scores s JOIN runs r ON r.key = s.run_key "
    f"UNION ALL SELECT app_key, {_OF_INSTANCES} FROM instances "
    f"UNION ALL SELECT app_key, {_OF_SHAPES} FROM run_shapes "
    f"UNION ALL SELECT app_key, {LABEL} FROM deleted) beside GROUP BY app_key"
)

Sizes = Mapping[int, int]
"""Bytes by the keys of Apps."""


def of_lines(lines: Gathered) -> Sizes:
    """Returns the bytes of new lines."""
    apps = {line[0]: line[2] for line in lines.runs}
    sizes: Counter[int] = Counter()
    for line in lines.runs:
        texts = _octets(_texts_of_run(line)) + 2 * _octets(_listed_of_run(line))
        sizes[line[2]] += RUN + texts + sum(_in_index(_octets((text,))) for text in _indexed_of_run(line))
    for app, *_ in lines.labels:
        sizes[app] += LABEL
    for line in lines.spans:
        sizes[apps[line[0]]] += SPAN + _in_index(_octets(_texts_of_span(line)))
    for key, _, *texts_beside in (*lines.contents, *lines.extras):
        sizes[apps[key]] += _in_table(_octets(texts_beside))
    for app, _, _, folded in lines.errors:
        sizes[app] += _in_index(_octets((folded,)))
    return sizes


def _octets(texts: Iterable[str | None]) -> int:
    joined = "".join(filter(None, texts))
    return len(joined) if joined.isascii() else len(joined.encode())


def _in_index(size: int) -> int:
    return size if size <= APART else -(-size // PAGE) * PAGE


def _in_table(size: int) -> int:
    return size if size <= HALF else max(size, PAGE)


def of_keys(connection: Connection, keys: Sequence[int], tables: Sequence[str], *, counted: str = _COUNTED) -> Sizes:
    """Returns the bytes that these tables have of runs, at most MANY, as far as they are in the tally."""
    condition, values = connection.within("r.key", keys)
    sizes: Counter[int] = Counter()
    for table, sql in _OF_TABLES.items():
        if table in tables:
            for app, size in connection.all(f"{sql} WHERE {condition} AND {counted} GROUP BY r.app_key", values):
                sizes[app] += size
    return sizes


def add(connection: Connection, sizes: Sizes, sign: int = 1) -> None:
    connection.tell(_ADD, [(TAKEN.format(app=app), sign * size) for app, size in sizes.items()])


def become(connection: Connection, old: int, new: int) -> None:
    """Adds the bytes of an App to those of the App that it was restored as."""
    for (size,) in connection.all("SELECT value FROM notes WHERE name = ?", (TAKEN.format(app=old),)):
        add(connection, {new: size})
    connection.do("DELETE FROM notes WHERE name = ?", (TAKEN.format(app=old),))


def count_beside(database: Database) -> None:
    """Notes the bytes that Apps have beside their runs. Others write meanwhile, and it takes as long as the figures are large."""
    with database.reading() as connection:
        if not connection.weighed:
            return
        lines = connection.all(_BESIDE)

    def work(connection: Connection) -> None:
        connection.do("DELETE FROM notes WHERE name LIKE ?", (BESIDE_ALL,))
        connection.tell("INSERT INTO notes (name, value) VALUES (?, ?)", [(BESIDE.format(app=app), size) for app, size in lines])

    database.transact(work)


def taken(connection: Connection) -> dict[tuple[str, str], int]:
    """Returns the bytes that Apps take, by namespace and uid; empty while some runs are not counted."""
    if connection.all("SELECT 1 FROM notes WHERE name = ?", (COUNTED_FROM,)):
        return {}  # the first App to write would seem to take all
    lines = connection.all(
        "SELECT a.namespace, a.uid, sum(n.value) FROM notes n JOIN apps a ON n.name IN ('bytes/' || a.key, 'beside/' || a.key) "
        "WHERE (n.name >= 'bytes/' AND n.name < 'bytes0') OR (n.name >= 'beside/' AND n.name < 'beside0') GROUP BY a.namespace, a.uid"
    )
    return {(namespace, uid): int(size) for namespace, uid, size in lines}


def count_older(database: Database) -> None:
    """Adds runs of an older program's store to the tally, at most `PIECES` pieces."""
    for _ in range(PIECES):
        if not database.transact(_count_piece):
            return


def _count_piece(connection: Connection) -> bool:
    """Adds the newest runs that are missing. Returns True if there were any."""
    for (first,) in connection.all("SELECT value FROM notes WHERE name = ?", (COUNTED_FROM,)):
        keys = [line[0] for line in connection.all(f"SELECT key FROM runs WHERE key < ? ORDER BY key DESC LIMIT {MANY}", (first,))]  # noqa: S608
        if not keys:
            connection.do("DELETE FROM notes WHERE name = ?", (COUNTED_FROM,))
            return False
        add(connection, of_keys(connection, keys, tuple(_OF_TABLES), counted="1 = 1"))
        connection.do("UPDATE notes SET value = ? WHERE name = ?", (keys[-1], COUNTED_FROM))
        return True
    return False
