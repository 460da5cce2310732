"""Writes one kubeconfig with a context for each of several clusters, like that of people who work with all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from local.clusters import Cluster
from tests.support.cluster import Kubectl


def joined(clusters: Mapping[str, Cluster], path: Path, current: str) -> Path:
    """Writes to `path`, and returns it, a kubeconfig whose contexts have these names; `current` is the default one."""
    joined_config: dict[str, object] = {"apiVersion": "v1", "kind": "Config", "current-context": current}
    parts: dict[str, list[dict[str, object]]] = {"clusters": [], "users": [], "contexts": []}
    for name, cluster in clusters.items():
        config = yaml.safe_load(Kubectl(cluster)("config", "view", "--minify", "--raw", "--flatten").stdout)
        parts["clusters"].append({"name": name, "cluster": config["clusters"][0]["cluster"]})
        parts["users"].append({"name": name, "user": config["users"][0]["user"]})
        parts["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path.write_text(yaml.safe_dump({**joined_config, **parts}))
    path.chmod(0o600)
    return path
