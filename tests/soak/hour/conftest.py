"""One cluster with real pods for what takes an hour and does next to nothing in it."""

from __future__ import annotations

from tests.support.real_pods import at as at
from tests.support.real_pods import cluster as cluster
