"""Whose an object is: an App's by its uid. A name says nothing: an App that is deleted and made again has its name, and is another App.

An object is *owned* by the Apps whose uids its ownerReferences name. Where it names only others than the App in question, it is *another's*:
the garbage collector deletes it with that App, and until then nobody reads, ends or adopts it. Where it names none, it is *nobody's* yet: a
row that the operator has not numbered, or what a restore brought back. Only of that a name decides, a row's `spec.app` or our labels, and the
operator's first write makes it the App's by uid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.manifests import API_VERSION, GROUP, Manifest


def reference(name: str, uid: str) -> Manifest:
    """The ownerReference to an App, with which its children and its rows are deleted."""
    return {"apiVersion": API_VERSION, "kind": "App", "name": name, "uid": uid, "controller": True}


def owners(observed: Mapping[str, Any]) -> tuple[str, ...]:
    """Uids of the Apps that own an object."""
    references = observed["metadata"].get("ownerReferences") or ()
    return tuple(str(each.get("uid", "")) for each in references if _is_app(each))


def app_uid(row: Mapping[str, Any]) -> str | None:
    """The uid of a row's App; None where nobody owns it yet."""
    return next(iter(owners(row)), None)


def is_owned(observed: Mapping[str, Any], uid: str) -> bool:
    """Whether the App of this uid owns an object."""
    return uid in owners(observed)


def is_anothers(observed: Mapping[str, Any], uid: str) -> bool:
    """Whether Apps own an object, and none of them is this one: one that had its name before and was deleted, mostly."""
    found = owners(observed)
    return bool(found) and uid not in found


def is_of_former(observed: Mapping[str, Any], name: str, uid: str) -> bool:
    """Whether an object is that of a deleted App of the same name: the garbage collector is about to delete it, and its name is free then."""
    references = observed["metadata"].get("ownerReferences") or ()
    return is_anothers(observed, uid) and all(each.get("name", name) == name for each in references if _is_app(each))


def is_nobodys(observed: Mapping[str, Any]) -> bool:
    """Whether no App owns an object."""
    return not owners(observed)


def may_be_of(uid: str, observed: Mapping[str, Any]) -> bool:
    """Whether an object that has the App's name is this App's: its own, or nobody's yet."""
    return not is_anothers(observed, uid)


def only_of(uid: str, found: Iterable[Manifest]) -> list[Manifest]:
    """Of objects that have the App's name those that are this App's, in their order."""
    return [each for each in found if may_be_of(uid, each)]


def app_of(observed: Mapping[str, Any]) -> str:
    """The name of the App whose child an object is, by our labels; empty where they are not on it."""
    found = observed["metadata"].get("labels") or {}
    return str(found.get(names.APP_LABEL, "")) if found.get(names.MANAGED_BY) == names.FIELD_MANAGER else ""


def is_labelled(observed: Mapping[str, Any], name: str) -> bool:
    """Whether an object carries our labels for an App of this name, as what a backup brought back does, whose owner is gone."""
    return app_of(observed) == name


def _is_app(owner: Mapping[str, Any]) -> bool:
    return owner.get("kind") == "App" and str(owner.get("apiVersion", API_VERSION)).startswith(f"{GROUP}/")
