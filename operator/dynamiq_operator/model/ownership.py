"""Decides which App owns an object, by the App's uid. Names do not: an App that is deleted and recreated is another App with the same name.

An object is *owned* by the Apps whose uids its ownerReferences name. If it names only other Apps, it is *another's*: nobody reads, ends or adopts
it, and the garbage collector deletes it with its App. If it names none, it is *nobody's*: a row without a number yet, or
a restored object. Only for those a name decides, a row's `spec.app` or our labels; the operator's first write then sets the owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import API_VERSION, GROUP, Manifest


def reference(name: str, uid: str) -> Manifest:
    """Returns the ownerReference to an App. Its children and rows are deleted with it."""
    return {"apiVersion": API_VERSION, "kind": "App", "name": name, "uid": uid, "controller": True}


def owners(observed: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the uids of the Apps that own an object."""
    references = observed["metadata"].get("ownerReferences") or ()
    return tuple(str(each.get("uid", "")) for each in references if _is_app(each))


def app_uid(row: Mapping[str, Any]) -> str | None:
    """Returns the uid of a row's App; None if it has no owner yet."""
    return next(iter(owners(row)), None)


def is_owned(observed: Mapping[str, Any], uid: str) -> bool:
    """Returns True if the App of this uid owns an object."""
    return uid in owners(observed)


def is_anothers(observed: Mapping[str, Any], uid: str) -> bool:
    """Returns True if only other Apps own an object; mostly a deleted one that had this App's name."""
    uids = owners(observed)
    return bool(uids) and uid not in uids


def is_of_former(observed: Mapping[str, Any], name: str, uid: str) -> bool:
    """Returns True if an object belongs to a deleted App of the same name. The garbage collector will delete it and free its name."""
    references = observed["metadata"].get("ownerReferences") or ()
    return is_anothers(observed, uid) and all(each.get("name", name) == name for each in references if _is_app(each))


def is_nobodys(observed: Mapping[str, Any]) -> bool:
    """Returns True if no App owns an object."""
    return not owners(observed)


def may_be_of(uid: str, observed: Mapping[str, Any]) -> bool:
    """Returns True if an object with the App's name is this App's: owned by it, or nobody's yet."""
    return not is_anothers(observed, uid)


def only_of(uid: str | None, objects: Iterable[Manifest]) -> list[Manifest]:
    """Returns those of the objects with the App's name that are this App's, in their order; all if its uid is unknown."""
    return [each for each in objects if uid is None or may_be_of(uid, each)]


def app_of(observed: Mapping[str, Any]) -> str:
    """Returns the name of the App of a child, from our labels; empty without them."""
    labels = observed["metadata"].get("labels") or {}
    return str(labels.get(names.APP_LABEL, "")) if labels.get(names.MANAGED_BY) == names.FIELD_MANAGER else ""


def is_labelled(observed: Mapping[str, Any], name: str) -> bool:
    """Returns True if an object has our labels for an App of this name, such as a restored object whose owner no longer exists."""
    return app_of(observed) == name


def _is_app(owner: Mapping[str, Any]) -> bool:
    return owner.get("kind") == "App" and str(owner.get("apiVersion", API_VERSION)).startswith(f"{GROUP}/")
