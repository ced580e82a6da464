"""Whether the model is shown what it learned: the stages of a pipeline, and of a case, against the card's contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medvis.core.case import Case
from medvis.core.protocols import Stage
from medvis.errors import SettingsError
from medvis.model.contract import OVERRULE, ContractDifference, InputContract, differences, unit_differs
from medvis.stages.window import ESTIMATED, WINDOW

if TYPE_CHECKING:
    from medvis.stages.base import Context

INFER = "infer"
IGNORED = "input_contract_ignored"


def shown_by(stages: Sequence[Stage], recorded: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the stages up to `infer` show the model, by fields of `InputContract`.

    Args:
        stages: of a pipeline, in order.
        recorded: name of a stage → its settings as a case records them, in place of the stage's own.
    """
    shown: dict[str, Any] = {}
    for stage in stages:
        settings = stage.settings
        if recorded and stage.name in recorded:
            fields = stage.Settings.model_fields
            settings = stage.Settings.model_validate(
                {name: value for name, value in recorded[stage.name].items() if name in fields}
            )
        for field, value in stage.input_contract(settings).items():
            shown[field] = {**shown[field], **value} if field in shown and field == "stages" else value
        if stage.name == INFER:
            break
    return shown


def check_settings(context: Context) -> None:
    """Compares the settings of a pipeline with its model's contract, before any pixel is read.

    Raises:
        SettingsError: they differ, and the task does not say ``input_contract: ignore``.
    """
    contract = context.card.input
    unit = unit_differs(contract, context.task.accepts.units)
    deviations = [*([] if unit is None else [unit]), *differences(contract, shown_by(context.stages))]
    _refuse(context, deviations)


def check_case(context: Context, case: Case) -> list[str]:
    """Compares what a case has been through with the contract of the model that is to look at it.

    Returns:
        One line for each difference, where the task says that they are ignored on purpose.

    Raises:
        SettingsError: there is a difference, and the task does not say so; or the view has too many or few channels.
    """
    contract = context.card.input
    _require_channels(contract, case)
    unit = unit_differs(contract, [case.scan.fact(WINDOW, ESTIMATED) or case.scan.unit])
    recorded = {step.name: step.settings for step in case.scan.trail}
    deviations = [*([] if unit is None else [unit]), *differences(contract, shown_by(context.stages, recorded))]
    _refuse(context, deviations)
    return [difference.line for difference in deviations]


def reason(lines: Sequence[str]) -> str:
    """Why such a verdict is left to a person."""
    return f"the model did not learn from images shown like this, and no figure of its card holds: {'; '.join(lines)}"


def _refuse(context: Context, deviations: Sequence[ContractDifference]) -> None:
    if not deviations or context.task.input_contract == "ignore":
        return
    first, more = deviations[0], f" (and {len(deviations) - 1} more)" if len(deviations) > 1 else ""
    card = context.card
    raise SettingsError(
        f"task '{context.task.task}': {first.setting} is {first.found}{more}",
        f"{first.learned}, as model '{card.task} {card.version}' has learned it",
        OVERRULE,
    )


def _require_channels(contract: InputContract, case: Case) -> None:
    if case.view is None or case.view.shape[3] == contract.channels:
        return
    # Slices below and above are put beside a grey slice when it is looked at.
    if contract.views.depth_mm is None or case.view.shape[3] != 1:
        raise SettingsError(
            f"the model's view of {case.scan.source.path} has {case.view.shape[3]} channel(s)",
            f"{contract.channels} ({contract.colour}), as the model has learned",
            "stages.window.grey: true turns colours to grey",
        )
