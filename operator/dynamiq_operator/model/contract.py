"""Stub until the branch `contract` is merged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Digest, Part


class DeclaredField(Part):
    name: Annotated[str, Field(max_length=64)]
    type: Annotated[str | None, Field(max_length=16)] = None
    required: bool = False


class AnsweredField(Part):
    name: Annotated[str, Field(max_length=64)]
    type: Annotated[str | None, Field(max_length=16)] = None


class UntoldNode(Part):
    node: Annotated[str, Field(max_length=64)]
    digest: Digest


class Contract(Part):
    """Fields."""

    reads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()
    declares: tuple[DeclaredField, ...] = ()
    answers: tuple[AnsweredField, ...] | None = None
    untold: tuple[UntoldNode, ...] = ()


class ChangeKind(StrEnum):
    FAILS = "Fails"
    READS = "Reads"
    DECLARED = "Declared"
    ANSWERS = "Answers"
    CANNOT_TELL = "CannotTell"
    NOTE = "Note"


@dataclass(frozen=True)
class ContractChange:
    kind: ChangeKind
    name: str
    type: str | None = None
    is_required: bool = False


def contract_of(text: str) -> Contract:
    return Contract()


def changes(live: Contract, new: Contract) -> tuple[ContractChange, ...]:
    return ()
