"""The runtime's configuration: environment variables, set by the operator on the App's workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynamiq_runtime.engine_choice import ENGINES

METRICS_PORT = 9090
QUEUED_FOR_EACH = 10  # runs that may wait for each that may run: a burst is held, an overload is not


class SettingsError(ValueError):
    """A variable is wrong; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Times are seconds, sizes bytes; `access_keys` is None for a public App, `pod_annotations` for one that is never on standby."""

    engine: str
    flow: Path
    access_keys: Path | None
    app: str
    app_id: str
    workflow_version: str | None
    flow_hash: str | None
    port: int
    metrics_port: int
    pod_annotations: Path | None
    drain: float
    run_timeout: float
    concurrent_runs: int
    queued_runs: int
    body_limit: int
    traces: bool


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Reads the DYNAMIQ_* variables, PORT, and whether OpenTelemetry's name an endpoint. Raises SettingsError."""
    engine = environment.get("DYNAMIQ_ENGINE") or "tiny"
    if engine not in ENGINES:
        raise SettingsError(f'DYNAMIQ_ENGINE is "{engine}", and the engines are {", ".join(ENGINES)}')
    keys = environment.get("DYNAMIQ_ACCESS_KEYS_DIR")
    if keys == "":
        raise SettingsError("DYNAMIQ_ACCESS_KEYS_DIR is empty: leave it out for a public App")
    annotations = environment.get("DYNAMIQ_POD_ANNOTATIONS")
    concurrent = int(_number(environment, "DYNAMIQ_MAX_CONCURRENT_RUNS", 32, 1, 1000))
    return Settings(
        engine=engine,
        flow=Path(environment.get("DYNAMIQ_FLOW") or "/etc/dynamiq/flow/flow"),
        access_keys=None if keys is None else Path(keys),
        app=environment.get("DYNAMIQ_APP", ""),
        app_id=environment.get("DYNAMIQ_APP_ID", ""),
        workflow_version=environment.get("DYNAMIQ_WORKFLOW_VERSION") or None,
        flow_hash=environment.get("DYNAMIQ_FLOW_HASH") or None,
        **_ports(environment),
        pod_annotations=Path(annotations) if annotations else None,
        drain=_number(environment, "DYNAMIQ_DRAIN_SECONDS", 30, 0, 3600),
        run_timeout=_number(environment, "DYNAMIQ_RUN_TIMEOUT", 300, 0.01, 86400),
        concurrent_runs=concurrent,
        queued_runs=int(_number(environment, "DYNAMIQ_MAX_QUEUED_RUNS", QUEUED_FOR_EACH * concurrent, 0, 100_000)),
        body_limit=int(_number(environment, "DYNAMIQ_BODY_LIMIT", 2 << 20, 1, 1 << 30)),
        traces=any(environment.get(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT") for signal in ("", "TRACES_")),
    )


def _ports(environment: Mapping[str, str]) -> dict[str, int]:
    port = int(_number(environment, "PORT", 8080, 0, 65535))
    metrics = int(_number(environment, "DYNAMIQ_METRICS_PORT", METRICS_PORT, 0, 65535))
    if port and port == metrics:
        raise SettingsError(f"calls and metrics can't share port {port}: set DYNAMIQ_METRICS_PORT, or PORT, to another one")
    return {"port": port, "metrics_port": metrics}


def _number(environment: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}, not a number") from None
    if not least <= value <= most:
        raise SettingsError(f"{name} is {text}, not between {least:g} and {most:g}")
    return value
