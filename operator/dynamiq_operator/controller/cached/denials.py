"""Notes which kinds the operator cannot list: each turns off a feature, and stops no other. It lists nothing itself."""

from __future__ import annotations

from dynamiq_operator.kube.resources import ApiResource

LACKING = "our CustomResourceDefinitions are not there, kubectl apply -k crds"
"""Replaces the API server's message about a kind of ours that it does not know."""


class Denials:
    """The resources that cannot be listed, with the API server's messages. `namespaces`: those that are watched; None is all."""

    def __init__(self, namespaces: frozenset[str] | None = None) -> None:
        self._namespaces = namespaces
        self._reasons: dict[tuple[ApiResource, str], str] = {}

    def note(self, resource: ApiResource, namespace: str, reason: str | None) -> bool:
        """Notes why a list of a namespace, or of all, failed; None if it succeeded. Returns True if that is new."""
        scope = (resource, namespace)
        if reason is None:
            return self._reasons.pop(scope, None) is not None
        is_new = scope not in self._reasons
        self._reasons[scope] = reason
        return is_new

    def is_watched(self, namespace: str) -> bool:
        """Returns True if a namespace is watched: its objects are cached as far as they can be listed."""
        return self._namespaces is None or namespace in self._namespaces

    def of(self, namespace: str) -> dict[ApiResource, str]:
        """Returns the resources that an App of this namespace may need and that cannot be listed, with the reasons."""
        return {resource: reason for (resource, scope), reason in self._reasons.items() if scope in ("", namespace)}
