"""Reads the runtime's configuration: environment variables that the operator sets on the App's workload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dynamiq_runtime.engine_choice import ENGINES
from dynamiq_runtime.logs import log

if TYPE_CHECKING:
    from dynamiq_runtime.content import Redaction
    from dynamiq_runtime.recorder_client import Recorder

METRICS_PORT = 9090
QUEUED_FOR_EACH = 10  # runs that may wait for each that may run: enough for a burst, too few for an overload


class SettingsError(ValueError):
    """A variable is wrong; the message names it."""


@dataclass(frozen=True)
class Settings:
    """The configuration of a server. Times are seconds, sizes bytes.

    `access_keys`: None for a public App. `pod_annotations`: None if it is never on standby. `recorder`: None if runs are not recorded.
    `journal`: None if no runs in the background are served. `callback_key`: None if no callbacks are served. `redaction`: None if their inputs and outputs are not recorded. `origins`: of
    pages that may call the App; `*` for every one.
    """

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
    recorder: Recorder | None
    journal: Recorder | None
    callback_key: Path | None
    redaction: Redaction | None
    pins: str | None
    origins: tuple[str, ...]


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
        recorder=_address(environment, "DYNAMIQ_RECORDER"),
        journal=_address(environment, "DYNAMIQ_JOURNAL"),
        callback_key=Path(callback_key) if (callback_key := environment.get("DYNAMIQ_CALLBACK_KEY")) else None,
        redaction=_redaction(environment.get("DYNAMIQ_RUNS")),
        pins=environment.get("DYNAMIQ_PINS") or None,
        origins=tuple(environment.get("DYNAMIQ_ORIGINS", "").lower().split()),
    )


def _ports(environment: Mapping[str, str]) -> dict[str, int]:
    port = int(_number(environment, "PORT", 8080, 0, 65535))
    metrics = int(_number(environment, "DYNAMIQ_METRICS_PORT", METRICS_PORT, 0, 65535))
    if port and port == metrics:
        raise SettingsError(f"calls and metrics can't share port {port}: set DYNAMIQ_METRICS_PORT, or PORT, to another one")
    return {"port": port, "metrics_port": metrics}


def _address(environment: Mapping[str, str], name: str) -> Recorder | None:
    """Returns the address in a variable, with its token and authority; None if it is not set."""
    url = environment.get(name)
    if not url:
        return None
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.hostname.encode("idna")
    except ValueError:  # including UnicodeError, for a host with an empty or too long label
        known = False
    if not known:
        raise SettingsError(f"{name} is {url!r}, not a URL of http or https")
    from dynamiq_runtime.recorder_client import Recorder  # a pod that records nothing starts without it

    token, authority = environment.get(f"{name}_TOKEN"), environment.get(f"{name}_CA")
    return Recorder(url, Path(token) if token else None, Path(authority) if authority else None)


def _redaction(text: str | None) -> Redaction | None:
    """Parses the rules for redaction; None if no content is recorded: DYNAMIQ_RUNS does not ask for it, or has an unusable pattern."""
    if not text:
        return None
    try:
        runs = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"DYNAMIQ_RUNS is not JSON: {error}") from None
    if not isinstance(runs, dict) or not isinstance(runs.get("content", False), bool):
        raise SettingsError('DYNAMIQ_RUNS is not {"content": true or false, "redact": {…}}')
    redact = runs.get("redact") or {}
    if not isinstance(redact, dict):
        raise SettingsError("DYNAMIQ_RUNS: `redact` is not an object")
    fields, patterns = (_texts(redact, name) for name in ("fields", "patterns"))
    if not runs.get("content", False):
        return None
    from dynamiq_runtime.content import Redaction
    from dynamiq_runtime.patterns import PatternError

    try:
        return Redaction(fields, patterns)
    except PatternError as error:
        log("a redact pattern cannot be used: no input, output or error text is recorded", level="error", reason=str(error))
        return None


def _texts(redact: dict[str, Any], name: str) -> list[str]:
    texts = redact.get(name) or []
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise SettingsError(f"DYNAMIQ_RUNS: `redact.{name}` is not a list of texts")
    return texts


def _number(environment: Mapping[str, str], name: str, default: float, least: float, most: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}, not a number") from None
    if not least <= value <= most:
        raise SettingsError(f"{name} is {text}, not between {least:g} and {most:g}")
    return value
