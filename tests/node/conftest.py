"""One cluster with real pods for the tests of this folder that ask for it, with the admission policies."""

from __future__ import annotations

from tests.support.real_pods import at as at
from tests.support.real_pods import guarded_cluster as guarded_cluster
