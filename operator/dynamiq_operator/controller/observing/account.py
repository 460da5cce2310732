"""Reads the operator's user name, as the API server knows it. It reads nothing else.

The rows that the operator creates by itself carry this name; no other row does.
"""

from __future__ import annotations

from dynamiq_operator.kube.client import Client

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Account:
    """The operator's user name, read once, when it is first needed: it never changes within a process."""

    def __init__(self, client: Client) -> None:
        self._client, self._name = client, ""

    async def name(self) -> str:
        """Returns the operator's user name.

        Raises errors.ApiError.
        """
        if not self._name:
            review = await self._client.request("POST", REVIEWS, body=REVIEW, required="status")
            self._name = str(review["status"].get("userInfo", {}).get("username") or "")
        return self._name
