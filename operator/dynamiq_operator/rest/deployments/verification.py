"""Verifies a whole history with the caller's token."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.kube import errors
from dynamiq_operator.model import chain
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import may_be_of
from dynamiq_operator.rest.context import ApiContext
from dynamiq_operator.rest.deployments import responses, settings
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.rest.http.sessions import CallerSession
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.reads.archive import InCluster, RecorderArchive, archive_of
from dynamiq_operator.rest.reads.row_pages import rows
from dynamiq_operator.views.verdict import sentence, settings_sentence

ARCHIVED_MOST = 20_000
"""Archived rows that one request verifies, at most."""
MISFITS_MOST = 100
"""Misfits that a response lists, at most."""


def verify(context: ApiContext, session: CallerSession, app: Entry, expected: str | None) -> responses.VerificationResponse:
    """Returns the verification of the App's history, in the cluster and in its archive as one chain.

    `expected`: a digest that some row or record must have. Raises errors.ApiError, and HttpProblem if the archive does not answer, or is
    too long for one request.
    """
    ids: dict[str, tuple[str, int | None]] = {}
    archive = archive_of(context, session, app)
    if archive is not None and archive.count() > ARCHIVED_MOST:
        raise HttpProblem(
            422,
            f"the archive has more than {ARCHIVED_MOST:,} rows of this App: use `kubectl dynamiq verify`, since one request verifies no more",
        )

    def noted() -> Iterator[Manifest]:
        for row in _everywhere(session, app, archive):
            meta, spec = row["metadata"], row.get("spec")
            ids[meta["name"]] = meta["uid"], spec.get("sequence") if isinstance(spec, dict) else None
            yield row

    of_settings = _settings(session, app, expected)
    is_in_settings = of_settings is not None and of_settings.expected_row is not None
    verdict = chain.verify(noted(), expected=None if is_in_settings else expected)
    settings_problem = settings_sentence(of_settings) if of_settings is not None and of_settings.misfits else None
    unknown = (None, None)
    misfits = [each for each in verdict.misfits if each.row in ids]
    newest_id, newest = ids.get(verdict.newest_row or "", unknown)
    expected_id, expected_sequence = ids.get(verdict.expected_row or "", unknown)
    expected_row = responses.ExpectedRow(
        digest=expected, deployment_id=expected_id, sequence=expected_sequence, found=is_in_settings or expected_id is not None
    )
    return responses.VerificationResponse(
        rows=verdict.rows,
        fits=not verdict.misfits and settings_problem is None,
        newest=responses.NewestRow(deployment_id=newest_id, sequence=newest, digest=verdict.newest) if newest_id is not None else None,
        expected=expected_row if expected else None,
        misfit_count=len(misfits),
        misfits=[
            responses.MisfitShape(deployment_id=ids[each.row][0], name=each.row, sequence=ids[each.row][1], says=each.reason)
            for each in misfits[:MISFITS_MOST]
        ],
        settings=_of_settings(of_settings) if of_settings is not None else None,
        says=sentence(verdict) if settings_problem is None or verdict.misfits else settings_problem,
    )


def _everywhere(session: CallerSession, app: Entry, archive: RecorderArchive | None) -> Iterator[Manifest]:
    """Yields the cluster's rows, then the archive's."""
    # The cluster comes first: a row that leaves it meanwhile has been read, and is not missing.
    in_cluster = InCluster()
    for row in rows(session, app.namespace, f"spec.app={app.name}"):
        if may_be_of(app.uid, row):  # a deleted App may have had its name
            in_cluster.add(row)
            yield row
    if archive is not None:
        yield from in_cluster.others(archive.walk())


def _settings(session: CallerSession, app: Entry, expected: str | None) -> chain.Verdict | None:
    """Verifies the records of the App's settings; None if the caller may not read them, or the cluster has no such kind."""
    try:
        return chain.verify_changes(settings.records(session, app), expected=expected)
    except (errors.Denied, errors.NotFound):
        return None


def _of_settings(verdict: chain.Verdict) -> responses.SettingsVerification:
    return responses.SettingsVerification(
        records=verdict.rows,
        fits=not verdict.misfits,
        newest_digest=verdict.newest,
        misfit_count=len(verdict.misfits),
        misfits=[responses.SettingsMisfit(name=each.row, says=each.reason) for each in verdict.misfits[:MISFITS_MOST]],
        says=settings_sentence(verdict),
    )
