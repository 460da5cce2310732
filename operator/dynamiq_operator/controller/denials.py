"""What the operator may not read, by kind: a feature that is off, and no reason for all others to stop."""

from __future__ import annotations

from dynamiq_operator.kube.resources import ApiResource

LACKING = "our CustomResourceDefinitions are not there, kubectl apply -k crds"
"""In place of the API server's words about a kind of ours that it does not know."""


class Denials:
    """The resources that cannot be listed for want of a right, and the API server's words. `namespaces`: those that are watched; None is all."""

    def __init__(self, namespaces: frozenset[str] | None = None) -> None:
        self._namespaces = namespaces
        self._said: dict[tuple[ApiResource, str], str] = {}

    def note(self, resource: ApiResource, namespace: str, said: str | None) -> bool:
        """Notes that a list, of a namespace or of all, was denied, or with None that it was not; whether that is new."""
        where = (resource, namespace)
        if said is None:
            return self._said.pop(where, None) is not None
        is_new = where not in self._said
        self._said[where] = said
        return is_new

    def is_watched(self, namespace: str) -> bool:
        """Whether what there is in a namespace is cached, as far as it may be listed."""
        return self._namespaces is None or namespace in self._namespaces

    def of(self, namespace: str) -> dict[ApiResource, str]:
        """What cannot be read that an App of this namespace may need."""
        return {resource: said for (resource, where), said in self._said.items() if where in ("", namespace)}
