"""One cluster with real pods for the long runs that need them."""

from __future__ import annotations

from tests.support.real_pods import cluster as cluster
