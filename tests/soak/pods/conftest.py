"""Provides one cluster with real pods to the long runs that need them."""

from __future__ import annotations

from tests.support.real_pods import cluster as cluster
