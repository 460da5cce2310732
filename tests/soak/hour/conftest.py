"""Provides one cluster with real pods to tests that take an hour and hardly use it."""

from __future__ import annotations

from tests.support.real_pods import at as at
from tests.support.real_pods import cluster as cluster
