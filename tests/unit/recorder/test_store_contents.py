"""Contents in lists: inputs and outputs of a page of runs, and the first input of each session."""

from __future__ import annotations

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, NOON, SECOND, a_run, a_span, batch


def test_a_session_has_the_input_of_its_first_run_where_that_was_recorded(store: Store) -> None:
    first = a_run(1, session_id="s", input='"first"', spans=(a_span(1, input='"of a node"'),))
    bare = (a_run(3, session_id="bare"), a_run(4, session_id="bare", input='"later"'))
    store.write([batch(a_run(2, session_id="s", input='"second"'), first, *bare)])

    def inputs(selection: Filter, *, content: bool = True) -> dict[str, str | None]:
        return {each.session_id: each.input for each in store.sessions(selection, limit=10, offset=0, content=content)[0]}

    assert inputs(Filter(app_uid=APP)) == {"s": '"first"', "bare": None}
    assert inputs(Filter(app_uid=APP, since=NOON + 2 * SECOND)) == {"s": '"second"', "bare": None}
    assert inputs(Filter(app_uid=APP), content=False) == {"s": None, "bare": None}


def test_a_page_has_the_content_of_its_runs_alone_if_it_is_requested(store: Store) -> None:
    recorded = a_run(1, input='"in"', output='"out"', error="why", spans=(a_span(1, input='"of a node"'),))
    store.write([batch(recorded, a_run(2))])

    def contents(*, content: bool) -> list[tuple[str | None, str | None, str | None]]:
        return [(run.input, run.output, run.error) for run in store.page(Filter(app_uid=APP), content=content).runs]

    assert contents(content=True) == [(None, None, None), ('"in"', '"out"', "why")]
    assert contents(content=False) == [(None, None, None), (None, None, "why")]
    bare = store.run(APP, recorded.id, content=True, spans=False)
    assert bare is not None
    assert (bare.input, bare.output, bare.spans) == ('"in"', '"out"', ())
