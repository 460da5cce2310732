"""An Access Key that a user adds to the Secret works in the pods that run, without a restart."""

from __future__ import annotations

import time

from tests.harness import eventually
from tests.node.partner import APP, KEY, Partner
from tests.node.stage import restarts, uids

IN_FORCE_WITHIN = 240  # seconds: the kubelet looks at a pod's volumes again after 60 to 90, and on a busy machine it is late


def test_a_key_that_was_added_works_without_a_restart(partner: Partner) -> None:
    on = partner.on
    left = partner.added + IN_FORCE_WITHIN - time.monotonic()
    eventually("the new key works", lambda: on.call(APP, KEY)[0] == 200, max(left, 30), 0.5)
    print(f"a key that was added worked within {time.monotonic() - partner.added:.0f} s")
    assert on.call(APP, on.key(APP))[0] == 200, "the first key still works"
    assert uids(on.pods(APP)) == partner.pods
    assert restarts(on.pods(APP)) == 0
