"""Reads the history of an App, newest row first: the values of its columns, and those that need words.

It reads rows as the API server sends them, without validating them: a history may have thousands.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dynamiq_operator.model.endings import ending, live_reverts
from dynamiq_operator.model.history_columns import COLUMNS
from dynamiq_operator.model.manifests import Manifest, Phase, parse_time
from dynamiq_operator.model.names import natural
from dynamiq_operator.views.waiting import approved_by, waits_of


@dataclass(frozen=True)
class HistoryRow:
    """One row. Missing values are None.

    `ending`: how it ended, if `status`, its phase, does not show that. `date`: when the deploy began, RFC 3339. `duration`: seconds until
    it ended. `more`: by key, the values of the columns in `model.history_columns` that have no field here.
    """

    name: str
    uid: str
    app: str
    version: str | None
    description: str | None
    status: str
    created_by: str | None
    runtime: str | None
    date: str | None
    sequence: int | None
    config: Mapping[str, Any] | None
    message: str | None
    provenance: str | None
    duration: float | None
    digest: str | None
    reason: str | None
    waits: str | None = None
    approved_by: str | None = None
    ending: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Manifest, reverts: Container[str] = ()) -> HistoryRow:
        """Returns the values of a stored row. `reverts`: as `model.endings.ending` takes them."""
        meta, spec = raw["metadata"], raw["spec"]
        pinned, outcome = spec.get("pinned") or {}, spec.get("outcome") or {}
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            app=spec["app"],
            version=pinned.get("workflowVersion") or spec.get("workflowVersion"),
            description=pinned.get("description"),
            status=(raw.get("status") or {}).get("phase") or Phase.PENDING.value,
            created_by=spec.get("createdBy"),
            runtime=(pinned.get("runtime") or {}).get("version"),
            date=began(raw),
            sequence=spec.get("sequence"),
            config=pinned.get("config") or spec.get("config"),
            message=spec.get("message"),
            provenance=provenance(spec),
            duration=_between(began(raw), outcome.get("at")),
            digest=pinned.get("digest"),
            reason=outcome.get("reason") if outcome.get("result") != "Succeeded" else None,
            waits=(waits_of(raw) or {}).get("message"),
            approved_by=approved_by(spec),
            ending=ending(meta["name"], spec, reverts, (raw.get("status") or {}).get("ending")),
            more={column.key: at_path(raw, column.path) for column in _MORE},
        )


_FIELDS = frozenset(each.name for each in fields(HistoryRow))
_MORE = tuple(column for column in COLUMNS if column.key not in _FIELDS)


def began(raw: Manifest) -> str | None:
    """Returns when the deploy of a row began, RFC 3339."""
    pinned_at: str | None = (raw["spec"].get("pinned") or {}).get("createdAt")
    return pinned_at or raw["metadata"].get("creationTimestamp")


def at_path(raw: Manifest, path: str) -> Any:
    """Returns the value at a JSON path of names, such as `.spec.app`; None if there is none."""
    value: Any = raw
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def history(rows: Iterable[Manifest]) -> list[HistoryRow]:
    """Returns the rows of one App, newest first.

    Rows without a sequence yet are newer than all others; rows that never get one are older.
    """
    manifests = newest_first(rows)
    reverts = live_reverts(manifests)
    return [HistoryRow.of(raw, reverts) for raw in manifests]


def newest_first(rows: Iterable[Manifest]) -> list[Manifest]:
    """Returns stored rows, newest first."""
    return sorted(rows, key=_age, reverse=True)


def provenance(spec: Mapping[str, Any]) -> str | None:
    """Returns where a row came from; None for a deploy of a version.

    Examples: `restores #3`; `revert, restores #3`; `promoted from staging/support #12`, with ` of cluster …` if it is another one; `by
    spec.deploy`.
    """
    pinned = spec.get("pinned") or {}
    if (restored := pinned.get("restores")) is not None:
        return f"{'revert, ' if pinned.get('source') == 'Revert' else ''}restores #{restored['sequence']}"
    if "restores" in spec:
        return f"restores {spec['restores']}"
    if (source := spec.get("promotedFrom")) is not None:
        pinned_source = pinned.get("promotedFrom") or {}
        row = f"#{pinned_source['sequence']}" if "sequence" in pinned_source else source["row"]
        unverified = " (unverified)" if pinned and not pinned_source.get("verified") else ""
        cluster = f" of cluster {source['cluster']}" if "cluster" in source else ""
        return f"promoted from {source['namespace']}/{source['app']} {row}{cluster}{unverified}"
    return "by spec.deploy" if pinned.get("source") == "App" else None


_SERVERLESS = {"maxReplicas": "0 to {} pods", "idleSeconds": "asleep after {} s", "holdSeconds": "a call waits {} s"}


def config_in_words(config: Mapping[str, Any] | None) -> str:
    """Returns a config in words: `1 to 2 pods at 80 % CPU`, `serverless, 0 to 10 pods, asleep after 300 s, a call waits 120 s`."""
    if not config:
        return ""
    if config.get("type") == "serverless":
        return ", ".join(["serverless", *(words.format(config[name]) for name, words in _SERVERLESS.items() if name in config)])
    scaling = config.get("autoscaling") or {}
    if "minReplicas" not in scaling or "maxReplicas" not in scaling:
        return ""
    fewest, most = scaling["minReplicas"], scaling["maxReplicas"]
    pods = f"{fewest} pod{'s' if fewest != 1 else ''}" if fewest == most else f"{fewest} to {most} pods"
    return f"{pods} at {scaling.get('targetCPUUtilizationPercentage', 80)} % CPU"


def compute_in_words(config: Mapping[str, Any] | None) -> str:
    """Returns the requests and limits of each pod in words: `100m CPU and 256Mi memory`, `1 CPU, at most 2 CPU and 1Gi memory`."""
    resources = (config or {}).get("resources") or {}
    requested, most = (_amounts(resources.get(part) or {}) for part in ("requests", "limits"))
    return ", ".join([*([requested] if requested else []), *([f"at most {most}"] if most else [])])


def _amounts(listed: Mapping[str, Any]) -> str:
    return " and ".join(f"{listed[key]} {word}" for key, word in (("cpu", "CPU"), ("memory", "memory")) if listed.get(key))


def duration_in_words(seconds: float) -> str:
    """Returns a duration in words: `8 s`, `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def title(row: HistoryRow) -> str:
    """Returns a row's name for messages: `v2 (#4, support-x7k2p)`."""
    version = f"{row.version} " if row.version else ""
    return f"{version}(#{row.sequence}, {row.name})" if row.sequence else f"{version}({row.name})"


def _age(raw: Manifest) -> tuple[float, str, tuple[tuple[int, int, str], ...]]:
    meta = raw["metadata"]
    sequence = raw["spec"].get("sequence")
    if sequence:  # two rows of an App never have the same one, so nothing else decides
        return sequence, "", ()
    # A row whose App was not created in time fails without a number: it must not be above all deploys of an App that is created later.
    place = 0.0 if at_path(raw, ".status.phase") == Phase.FAILED else float("inf")
    return place, meta.get("creationTimestamp") or "", natural(meta["name"])


def _between(began: str | None, ended: str | None) -> float | None:
    if began is None or ended is None:
        return None
    return max((parse_time(ended) - parse_time(began)).total_seconds(), 0.0)
