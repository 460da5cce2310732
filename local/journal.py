"""Names what the journal's manifests install, and the account by which the recorder knows it."""

from __future__ import annotations

MANIFESTS = "manifests/journal/"
NAMESPACE = "dynamiq-journal"
WORKLOAD = "statefulset/dynamiq-journal"
SELECTOR = "app.kubernetes.io/name=dynamiq-journal"
CLAIM = "data-dynamiq-journal-0"
URL = "http://dynamiq-journal.dynamiq-journal.svc"
ACCOUNT = "system:serviceaccount:dynamiq-journal:dynamiq-journal"
