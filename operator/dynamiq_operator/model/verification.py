"""`App.spec.rollout.verify`: the smoke test that new pods must pass before a caller reaches them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Part, label_field, matching, rule, validated

CASES_MAX = 32
CASE_SECONDS = 30
INPUT_MAX = 8192
TIMEOUT_SECONDS = 300
VERIFY_MAX = 65536
"""Characters of all inputs and expectations together: each row pins all of them."""

PLACE = r"^\$(\.[A-Za-z_][A-Za-z0-9_]*|\.\*|\[[0-9]{1,6}\]|\[\*\]|\['[^']{1,256}'\])*$"
"""The subset of JSONPath that names places. Descent and filters may take unbounded time, and the operator would evaluate them."""


class JsonPathExpectation(Part):
    """The expected value at a path of the answer."""

    path: Annotated[
        str,
        Field(
            max_length=1024,
            description="JSONPath of one place in the answer's JSON, such as $.total or $.items[0]['unit price'].",
            json_schema_extra=matching(PLACE, "a path names one place of the answer: $, then .name, ['any name'], [0], [*] or .*"),
        ),
    ]
    equals: Annotated[str | None, Field(max_length=INPUT_MAX, description="The value there, as JSON text. Left out: any value.")] = None


@validated(
    rule(
        "has(self.status) || has(self.contains) || has(self.jsonPath)",
        "expect at least one of status, contains and jsonPath",
    )
)
class Expectation(Part):
    """The expected answer. All given conditions must hold. Without `status`, an answer that is not 2xx fails."""

    status: Annotated[int | None, Field(ge=100, le=599, description="HTTP status. Left out: any 2xx.")] = None
    contains: Annotated[
        str | None, Field(min_length=1, max_length=INPUT_MAX, description="Text that the answer contains, or a string in its JSON.")
    ] = None
    json_path: Annotated[JsonPathExpectation | None, Field(description="A value in the answer's JSON.")] = None


class Case(Part):
    """One input and the expected answer."""

    name: str = label_field("case")
    input: Annotated[str, Field(max_length=INPUT_MAX, description="Input of the run, as JSON text.")]
    repeat: Annotated[
        int | None, Field(ge=1, le=1000, description="How often it is called; each answer must be as expected. Left out: once.")
    ] = None
    seconds: Annotated[int | None, Field(ge=1, le=600, description="Seconds within which each answer must come. Left out: 30.")] = None
    expect: Annotated[Expectation, Field(description="The expected answer.")]


class VerifyJob(Part):
    """A Job that evaluates the new pods. It gets their address as DYNAMIQ_URL and a key that only they accept as DYNAMIQ_KEY."""

    image: Annotated[str, Field(min_length=1, max_length=512, description="Image that it runs.")]
    command: Annotated[
        tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64, description="Command. Left out: the image's.")
    ] = ()
    args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64, description="Arguments.")] = ()


@validated(
    rule("has(self.cases) && size(self.cases) > 0 || has(self.job)", "give cases, a job, or both"),
)
class Verify(Part):
    """The smoke test of a new version's pods, while the live version still serves callers; strategy Switch only."""

    cases: Annotated[
        tuple[Case, ...],
        Field(
            max_length=CASES_MAX,
            description="Inputs and expected answers.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "x-kubernetes-validations": [
                    rule(
                        f"self.map(each, size(each.input) + (has(each.expect.contains) ? size(each.expect.contains) : 0)).sum() <= {VERIFY_MAX}",
                        f"inputs and expected texts are together longer than {VERIFY_MAX >> 10} KiB: use a job for large ones",
                    )
                ],
            },
        ),
    ] = ()
    job: Annotated[
        VerifyJob | None, Field(description="A program that evaluates the new pods. To set it takes the right to create Jobs.")
    ] = None
    timeout_seconds: Annotated[
        int | None,
        Field(ge=5, le=86400, description="Seconds from ready pods after which it fails. Left out: 300."),
    ] = None
    rollbacks: Annotated[
        bool | None, Field(description="True: rollbacks are smoke-tested, too. Left out: they are not, so that they are fast.")
    ] = None

    @property
    def seconds(self) -> int:
        """Seconds within which the whole smoke test must pass."""
        return self.timeout_seconds or TIMEOUT_SECONDS

    @property
    def calls(self) -> int:
        """Calls that its cases take, repeats included."""
        return sum(case.repeat or 1 for case in self.cases)
