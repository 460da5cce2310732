"""By which name the API server knows the operator: what it creates in its own name carries it, and nobody else's row does."""

from __future__ import annotations

from dynamiq_operator.kube.client import Client

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


class Account:
    """Asked once, when it is first needed: it stays the same for as long as the process."""

    def __init__(self, client: Client) -> None:
        self._client, self._name = client, ""

    async def name(self) -> str:
        """The operator's user name. Raises errors.ApiError."""
        if not self._name:
            found = await self._client.request("POST", REVIEWS, body=REVIEW, required="status")
            self._name = str(found["status"].get("userInfo", {}).get("username") or "")
        return self._name
