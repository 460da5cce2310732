"""The autoscaler alone sets replicas: the API server's audit log shows no write of them by the operator, whatever is deployed."""

from __future__ import annotations

import pytest

from local.clusters import Cluster
from tests.support import history_stage
from tests.support.faults import operators
from tests.support.faults.audit import Audit
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator

HELD = 5
FEW, DEPLOYS = 4, 200


@pytest.mark.full_count
@pytest.mark.timeout(1800)
def test_deploys_and_rollbacks_leave_the_replicas_to_the_autoscaler(cluster: Cluster, stage: HistoryStage, operator: Operator) -> None:
    """The test sets 5 pods as an autoscaler would. The rows have 1 to 10, so a write of a row's own numbers would show."""
    stage.app(APP, workflow=APP)
    rows = [stage.live(APP, "v1", runtime=stage.default_runtime)]
    audit = Audit(cluster, stage.namespace)
    scaled = stage.api.merge(stage.workload(APP), {"spec": {"replicas": HELD}}, subresource="/scale")
    assert scaled.ok, scaled.message
    rows.append(stage.live(APP, "v2", config={"autoscaling": {"minReplicas": 1, "maxReplicas": 10}}))
    deploys = DEPLOYS if history_stage.in_full() else FEW
    for number in range(deploys // 2):
        stage.live(APP, restores=rows[number % 2])
        stage.live(APP, f"v{3 + number % 2}")
        assert stage.workload(APP)["spec"]["replicas"] == HELD
    written = audit.scalings(APP)
    by_operator = [each for each in written if each.user == operators.USER]
    print(f"\n{deploys} deploys and rollbacks at {HELD} pods: {len(by_operator)} writes of replicas by the operator")
    assert [each.replicas for each in written] == [HELD]
    assert not by_operator
