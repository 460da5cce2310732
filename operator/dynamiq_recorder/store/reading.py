"""Reads what runs amount to together: metrics, figures of rows, sessions, and completeness. It reads no single run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dynamiq_operator.model.runs import FAILED_STATUSES, MetricsGroup, MetricsInterval
from dynamiq_recorder.model import MICROSECONDS, Filter, Point, Row, RowFigures, Session, Sums, Tokens, Wholeness
from dynamiq_recorder.sketch import parted
from dynamiq_recorder.store.database import MANY, Cell, Connection, Database
from dynamiq_recorder.store.filters import Conditions, app_key, conditions
from dynamiq_recorder.store.loading import stored
from dynamiq_recorder.store.results import COUNTED
from dynamiq_recorder.store.tally import HOUR, MEASURES, MINUTE, NODE_MEASURES, SKETCHES, Summed, SummedNode, Tally

DAY = 86_400
INSTANCES_MOST = 20_000
"""Most processes of an App that are read: the newest."""
SILENT = 120 * MICROSECONDS
"""Microseconds after which a silent process counts as cut off, unless it reported its end or is known to run."""
LAST_MINUTE_MOST = 20_000
"""Most runs of rows that are read one by one."""
SCANNED = 20_000
"""Most runs that are read for the newest sessions."""
_WIDTHS = {MetricsInterval.MINUTE: MINUTE, MetricsInterval.HOUR: HOUR, MetricsInterval.DAY: DAY}
_KEYS = {
    None: "''",
    MetricsGroup.DEPLOYMENT: "row_key",
    MetricsGroup.WORKFLOW_VERSION: "workflow_version",
    MetricsGroup.TRIGGER: "trigger_name",
    MetricsGroup.STATUS: "status",
}
_ROW = {
    **{name: f"w.{name}" for name in ("uid", "sequence", "digest", "pins", "workflow_version", "began", "succeeded", "ended", "pair")},
    "app_uid": "a.uid",
    "namespace": "a.namespace",
    "app": "a.name",
}
"""Columns of a row by its fields."""
_ROW_COLUMNS = ", ".join(("w.key", *_ROW.values()))


def metrics(
    connection: Connection, app_uid: str, since: int, until: int, interval: MetricsInterval, group_by: MetricsGroup | None
) -> tuple[Point, ...]:
    """Implements Store.metrics."""
    app = app_key(connection, app_uid)
    if app is None:
        return ()
    width = _WIDTHS[interval]
    first, end = _span(since, until, width)
    if group_by in (MetricsGroup.NODE, MetricsGroup.MODEL):
        return _node_points(connection, app, first, end, max(width, HOUR), group_by)
    return _points(connection, app, (first, end), width, group_by)


def usage(connection: Connection, app_uid: str, since: int, until: int, width: int) -> tuple[Point, ...]:
    """Implements Store.usage."""
    app = app_key(connection, app_uid)
    return _points(connection, app, _span(since, until, unit_of(width)), width, None) if app is not None else ()


def unit_of(width: int) -> int:
    """Returns the width of the rollups that points of a width are made of."""
    return MINUTE if width % HOUR else HOUR


def _span(since: int, until: int, unit: int) -> tuple[int, int]:
    """Returns the seconds at which a time begins, of whole units, and ends."""
    return since // MICROSECONDS // unit * unit, -(-until // MICROSECONDS)


def _points(connection: Connection, app: int, span: tuple[int, int], width: int, group_by: MetricsGroup | None) -> tuple[Point, ...]:
    """Returns the points of a span, counted from its begin."""
    first, end = span
    lines = connection.all(
        f"SELECT at, {_KEYS[group_by]}, status, {', '.join(MEASURES)}, sketch FROM rollups "  # noqa: S608 - our own names
        "WHERE app_key = ? AND width = ? AND at >= ? AND at < ?",
        (app, unit_of(width), first, end),
    )
    points: dict[tuple[int, str | int], Summed] = {}
    by_status = group_by is MetricsGroup.STATUS
    for at, key, status, *line in lines:
        points.setdefault((first + (at - first) // width * width, key), Summed()).add(status, line)
    names = _row_uids(connection, app) if group_by is MetricsGroup.DEPLOYMENT else {}
    made = [
        Point(key=names.get(key, "") if isinstance(key, int) else key, at=at * MICROSECONDS, sums=each.sums(by_status=by_status))
        for (at, key), each in points.items()
    ]
    return tuple(sorted(made, key=lambda point: (point.at, point.key)))


def _row_uids(connection: Connection, app: int) -> dict[int, str]:
    return {key: uid for key, uid in connection.all("SELECT key, uid FROM app_rows WHERE app_key = ?", (app,))}  # noqa: C416 - typed


def _node_points(connection: Connection, app: int, first: int, end: int, width: int, group: MetricsGroup) -> tuple[Point, ...]:
    """Returns points of nodes or models. Their rollups are of hours only."""
    lines = connection.all(
        f"SELECT at, node_id, model, name, {', '.join(NODE_MEASURES)}, sketch FROM node_rollups "  # noqa: S608 - our own names
        "WHERE app_key = ? AND at >= ? AND at < ? ORDER BY at",
        (app, first // HOUR * HOUR, end),
    )
    points: dict[tuple[int, str], SummedNode] = {}
    names: dict[str, str] = {}
    for at, node_id, model, name, *measures, data in lines:
        key = node_id if group is MetricsGroup.NODE else model
        if key:
            names[key] = name
            points.setdefault((at // width * width, key), SummedNode()).add(measures, data)
    of_node = group is MetricsGroup.NODE
    return tuple(
        Point(key=key, at=at * MICROSECONDS, sums=points[at, key].sums(key, "").sums, name=names[key] if of_node else None)
        for at, key in sorted(points)
    )


def rows(connection: Connection, app_uid: str) -> tuple[Row, ...]:
    """Implements Store.rows."""
    app = app_key(connection, app_uid)
    sql = f"SELECT {_ROW_COLUMNS} FROM app_rows w JOIN apps a ON a.key = w.app_key WHERE w.app_key = ? ORDER BY w.sequence DESC"  # noqa: S608
    return tuple(row_of(line) for line in connection.all(sql, (app,))) if app is not None else ()


def row_of(line: Cell) -> Row:
    fields = dict(zip(_ROW, line[1:], strict=True))
    succeeded = fields.pop("succeeded")
    return Row(succeeded=None if succeeded is None else bool(succeeded), **fields)


def figures(
    database: Database, connection: Connection, app_uid: str, row_uids: Sequence[str], *, nodes: bool, before: int | None
) -> tuple[RowFigures, ...]:
    """Implements Store.figures."""
    app = app_key(connection, app_uid)
    if app is None or not row_uids:
        return ()
    condition, values = connection.within("w.uid", row_uids)
    sql = f"SELECT {_ROW_COLUMNS} FROM app_rows w JOIN apps a ON a.key = w.app_key WHERE w.app_key = ? AND {condition}"  # noqa: S608
    known = {line[1]: line for line in connection.all(sql, [app, *values])}
    keys = {line[0]: uid for uid, line in known.items()}
    if not keys:
        return ()
    sums = _row_sums(connection, app, list(keys), before, tokens=nodes)
    if before is not None:
        _add_last_minute(database, connection, app, list(keys), before, sums, tokens=nodes)
    inside = _row_nodes(connection, app, list(keys)) if nodes else {}
    scores = _row_scores(connection, list(keys))
    return tuple(
        RowFigures(
            row=row_of(known[uid]),
            sums=sums[known[uid][0]].sums() if known[uid][0] in sums else Sums(),
            nodes=tuple(each.sums(node_id, name) for node_id, (name, each) in sorted(inside.get(known[uid][0], {}).items())),
            scores=scores.get(known[uid][0], {}),
        )
        for uid in row_uids
        if uid in known
    )


def _row_sums(connection: Connection, app: int, keys: Sequence[int], before: int | None, *, tokens: bool) -> dict[int, Summed]:
    """Returns the sums of rows. With `before`: of runs that began before that minute, by whole hours and by minutes of the last hour."""
    condition, values = connection.within("row_key", keys)
    # Each by its own index: an App has tens of thousands of minutes, and hours of thousands of rows.
    hours = f"FROM rollups{connection.by('rollups_row')} WHERE app_key = ? AND width = {HOUR}"
    parts: list[tuple[str, list[object]]] = [(hours, [app])]
    if before is not None:
        hour, minute = (before // (width * MICROSECONDS) * width for width in (HOUR, MINUTE))
        minutes = f"FROM rollups WHERE app_key = ? AND width = {MINUTE} AND at >= ? AND at < ?"
        parts = [(f"{hours} AND at < ?", [app, hour]), (minutes, [app, hour, minute])]
    sums: dict[int, Summed] = {}
    columns = ", ".join((*MEASURES, *SKETCHES[: 3 if tokens else 2]))
    questions = [(f"SELECT row_key, status, {columns} {source} AND {condition}", [*parameters, *values]) for source, parameters in parts]
    for lines in connection.ask(questions):
        for key, status, *line in lines:
            sums.setdefault(key, Summed()).add(status, line)
    return sums


def _add_last_minute(
    database: Database, connection: Connection, app: int, keys: Sequence[int], before: int, sums: dict[int, Summed], *, tokens: bool
) -> None:
    """Adds the runs of the minute of `before` that began before it; none if there are more than LAST_MINUTE_MOST, which then count a minute
    later.
    """
    condition, values = connection.within("row_key", keys)
    lines = connection.all(
        f"SELECT key FROM runs WHERE app_key = ? AND {condition} AND started_at >= ? AND started_at < ? LIMIT {LAST_MINUTE_MOST + 1}",  # noqa: S608
        [app, *values, before // (MINUTE * MICROSECONDS) * MINUTE * MICROSECONDS, before],
    )
    if len(lines) > LAST_MINUTE_MOST:
        return
    tally = Tally()
    for each in stored(database, connection, [key for (key,) in lines], content=False, spans=False):
        tally.add(each.run, app, each.row, nodes=False)
    for (_, width, _, row, *_, status), (measures, buckets) in tally.runs():
        if width == MINUTE:
            sums.setdefault(row, Summed()).add(status, [*measures, *parted(buckets, len(SKETCHES))[: 3 if tokens else 2]])


def _row_nodes(connection: Connection, app: int, keys: Sequence[int]) -> dict[int, dict[str, tuple[str, SummedNode]]]:
    condition, values = connection.within("row_key", keys)
    by_row: dict[int, dict[str, tuple[str, SummedNode]]] = {}
    for key, node_id, name, *measures, data in connection.all(
        f"SELECT row_key, node_id, name, {', '.join(NODE_MEASURES)}, sketch FROM node_rollups WHERE app_key = ? AND {condition} ORDER BY at",  # noqa: S608
        [app, *values],
    ):
        _, each = by_row.setdefault(key, {}).get(node_id, ("", SummedNode()))
        each.add(measures, data)
        by_row[key][node_id] = (name, each)
    return by_row


def _row_scores(connection: Connection, keys: Sequence[int]) -> dict[int, Mapping[str, tuple[float, int]]]:
    condition, values = connection.within("row_key", keys)
    by_row: dict[int, dict[str, tuple[float, int]]] = {}
    sql = f"SELECT row_key, name, sum(value), count(*) FROM scores WHERE {condition} GROUP BY row_key, name"  # noqa: S608 - our own names
    for key, name, total, count in connection.all(sql, values):
        by_row.setdefault(key, {})[name] = (float(total), count)
    return dict(by_row)


def sessions(connection: Connection, selection: Filter, *, limit: int, offset: int, content: bool) -> tuple[tuple[Session, ...], int]:
    """Implements Store.sessions. The newest are those of the newest SCANNED runs of the filter that name one."""
    where = conditions(connection, selection)
    if where is None:
        return (), 0
    newest: dict[str, None] = {}
    scanned = f"SELECT r.session_id FROM runs r WHERE {where.sql} AND r.session_id IS NOT NULL ORDER BY r.started_at DESC LIMIT {SCANNED}"  # noqa: S608
    for (session,) in connection.all(scanned, where.values):
        newest.setdefault(session)
        if len(newest) >= COUNTED:
            break
    session_ids = list(newest)[offset : offset + min(limit, MANY)]
    if not session_ids:
        return (), len(newest)
    condition, values = connection.within("r.session_id", session_ids)
    failed = ", ".join(f"'{status.value}'" for status in FAILED_STATUSES)
    sql = (
        f"SELECT r.session_id, max(r.user_id), count(*), sum(CASE WHEN r.status IN ({failed}) THEN 1 ELSE 0 END), "  # noqa: S608 - our own names
        "min(r.started_at), max(r.started_at), sum(r.input_tokens), sum(r.output_tokens), sum(r.cache_read_tokens), "
        f"sum(r.cache_write_tokens), sum(r.cost), sum(r.unpriced) FROM runs r WHERE {where.sql} AND {condition} GROUP BY r.session_id"
    )
    inputs = _first_inputs(connection, where, session_ids) if content else {}
    last = _last_rows(connection, where, session_ids)
    by_id = {line[0]: _session(line, last[line[0]], inputs.get(line[0])) for line in connection.all(sql, [*where.values, *values])}
    return tuple(by_id[session] for session in session_ids), len(newest)


def _first_inputs(connection: Connection, where: Conditions, session_ids: Sequence[str]) -> dict[str, str]:
    """Returns the input of the first run of each session, without those that have none."""
    sql = f"SELECT r.key FROM runs r WHERE {where.sql} AND r.session_id = ? ORDER BY r.started_at, r.key LIMIT 1"  # noqa: S608
    firsts = connection.ask([(sql, [*where.values, session]) for session in session_ids])
    of_run = {lines[0][0]: session for session, lines in zip(session_ids, firsts, strict=True) if lines}
    condition, values = connection.within("run_key", list(of_run))
    read = f"SELECT run_key, input FROM contents WHERE {condition} AND n = 0 AND input IS NOT NULL"  # noqa: S608 - our own names
    return {of_run[key]: text for key, text in connection.all(read, values)}


def _last_rows(connection: Connection, where: Conditions, session_ids: Sequence[str]) -> dict[str, Cell]:
    """Returns sequence and version of the row of the newest run of each session."""
    sql = (
        f"SELECT w.sequence, r.workflow_version FROM runs r LEFT JOIN app_rows w ON w.key = r.row_key WHERE {where.sql} "  # noqa: S608
        "AND r.session_id = ? ORDER BY r.started_at DESC, r.key DESC LIMIT 1"
    )
    newest = connection.ask([(sql, [*where.values, session]) for session in session_ids])
    return {session: lines[0] if lines else (None, None) for session, lines in zip(session_ids, newest, strict=True)}


def _session(line: Cell, row: Cell, first_input: str | None) -> Session:
    session, user, count, failed, first, last, *sums = line
    tokens_in, tokens_out, read, write, cost, unpriced = (int(value) if value is not None else None for value in sums)
    tokens = Tokens(input=tokens_in, output=tokens_out, cache_read=read, cache_write=write)
    return Session(
        session_id=session,
        user_id=user,
        runs=count,
        failed=int(failed),
        first_at=first,
        last_at=last,
        tokens=tokens,
        cost=cost,
        unpriced=unpriced or 0,
        sequence=row[0],
        workflow_version=row[1],
        input=first_input,
    )


def wholeness(connection: Connection, app_uid: str, now: int, alive: Sequence[str]) -> Wholeness:
    """Implements Store.wholeness. A process that still runs may have its newest runs in its queue: these are not missing."""
    app = app_key(connection, app_uid)
    if app is None:
        return Wholeness(instances=0, missing=0, cut_off=0, unattributed=0, first_at=None, last_at=None)
    count = missing = cut_off = 0
    running = set(alive)
    columns = "pod_uid, last_seq, highest, stored, dropped, ended, seen_at"
    sql = f"SELECT {columns} FROM instances WHERE app_key = ? ORDER BY key DESC LIMIT {INSTANCES_MOST}"  # noqa: S608 - our own names
    for pod, last, highest, arrived, dropped, ended, seen in connection.all(sql, (app,)):
        going = not ended and (pod in running or now - seen < SILENT)
        count += 1
        missing += max(0, (highest if going else max(last, highest)) - arrived, dropped)
        cut_off += not ended and not going
    loose = connection.all(
        "SELECT count(*) FROM runs WHERE app_key = ? AND row_key IS NULL AND source <> 'sdk' AND source = 'runtime'", (app,)
    )[0][0]
    first = connection.all("SELECT min(started_at) FROM runs WHERE app_key = ?", (app,))[0][0]
    last = connection.all("SELECT max(started_at) FROM runs WHERE app_key = ?", (app,))[0][0]
    return Wholeness(instances=count, missing=missing, cut_off=cut_off, unattributed=int(loose), first_at=first, last_at=last)
