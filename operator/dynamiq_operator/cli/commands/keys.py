"""`keys`: lists, creates and revokes the Access Keys of an App.

A key is printed once, when it is created; a list shows only how each begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import Table, safe

if TYPE_CHECKING:
    from dynamiq_operator.actions.access_keys import KeyPlan

ANNOUNCED, UNANNOUNCED = "in a few seconds, a minute at most", "within 60 to 90 s"
"""When a change takes effect: announced to the operator, or left to the kubelets."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A key is printed once, when it is created; a list shows how each begins. `revoke` asks first.",
        ("list support", "create support ci", "revoke support ci --yes"),
    )
    command.add_argument("action", choices=("list", "create", "revoke"), metavar="ACTION", help="list, create or revoke")
    parsing.app(command)
    command.add_argument("name", metavar="NAME", nargs="?", help="name of the key (default of create: a random one)")
    parsing.add_preview_flags(command)


def run(context: CommandContext) -> int:
    return {"list": _list, "create": _create, "revoke": _revoke}[context.options.action](context)


def _list(context: CommandContext) -> int:
    from dynamiq_operator.actions.access_keys import known_keys

    keys = known_keys(context.api, context.namespace, context.options.app)
    names = [safe(key.name) for key in keys]
    if not context.print_data([{"name": key.name, "begins": key.begins} for key in keys], names):
        rows = [[name, safe(f"{key.begins}…")] for name, key in zip(names, keys, strict=True)]
        context.out.lines(Table(["NAME", "KEY"], rows, context.out).lines())
    return 0


def _create(context: CommandContext) -> int:
    from dynamiq_operator.actions.access_keys import perform_key, plan_key

    plan = plan_key(context.api, context.namespace, context.options.app, context.options.name)
    if context.options.preview:
        confirm.agreed(context, [f"create key {plan.name} of {plan.app} in {plan.namespace}"], _data(plan))
        return 0
    performed = perform_key(context.api, plan)
    if not context.print_data({"name": plan.name, "key": plan.value}, [safe(plan.name)]):
        context.out.lines([str(plan.value)])
    when = ANNOUNCED if performed.is_announced else UNANNOUNCED
    context.err.lines([f"key {safe(plan.name)} of {safe(plan.app)} is made, and works {when}; it is not shown again"])
    return 0


def _revoke(context: CommandContext) -> int:
    from dynamiq_operator.actions.access_keys import perform_key, plan_revocation

    options = context.options
    if options.name is None:
        raise Refusal(f"name the key to revoke: {context.hint(f'keys list {options.app}')} lists them")
    plan = plan_revocation(context.api, context.namespace, options.app, options.name)
    if not confirm.agreed(context, _lines(plan), _data(plan)):
        return confirm.nothing_done(context)
    when = ANNOUNCED if perform_key(context.api, plan).is_announced else UNANNOUNCED
    context.err.lines([f"key {safe(plan.name)} of {safe(plan.app)} is revoked: calls with it are refused {when}"])
    return 0


def _data(plan: KeyPlan) -> dict[str, str | int]:
    """Returns the plan as data, without the key itself."""
    return {"namespace": plan.namespace, "app": plan.app, "name": plan.name, "others": plan.others}


def _lines(plan: KeyPlan) -> list[str]:
    lines = [f"revoke key {plan.name} of {plan.app} in {plan.namespace}", f"  {plan.others} more of its keys stay"]
    return lines if plan.others else [*lines, "  it is the last one: nobody can call the App then, and its triggers fail"]
