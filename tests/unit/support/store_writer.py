"""`python -m tests.unit.support.store_writer ADDRESS FIRST`: writes runs from FIRST on to a store until it is killed.

It prints the number of each batch's last run when the batch is acknowledged.
"""

from __future__ import annotations

import sys

from dynamiq_recorder.model import Instance
from dynamiq_recorder.store.opening import opened
from tests.support.stored_runs import APP, NOON, a_call, a_row, a_run, a_span, batch

SIZE = 7


def main() -> None:
    address, number = sys.argv[1], int(sys.argv[2])
    store = opened(address)
    store.put_rows([a_row(1, pins=a_run().pins, began=0, ended=1)])
    while True:
        numbers = range(number, number + SIZE)
        runs = [a_run(each, seq=each, instance="i-1", spans=(a_call(1, cost=each), a_span(2)), node_count=2) for each in numbers]
        instance = Instance(id="i-1", app_uid=APP, pod_uid="pod-1", last_seq=numbers[-1], dropped=0, ended=False, at=NOON)
        store.write([batch(*runs, instances=[instance])])
        print(numbers[-1], flush=True)
        number += SIZE


if __name__ == "__main__":
    main()
