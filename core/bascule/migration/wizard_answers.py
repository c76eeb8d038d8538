"""The wizard's answers as what readiness and plans take: Answers and Options, the same as an answers file and flags.

Field ids: `assess.question.<id>`, `assess.check.<id>`, `networks.vlan.<port group>`, `networks.subnet.<vlan>`,
`identity.address.<NIC> <VM key>`; the rest are options of the plan by their names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bascule.estate.cells import CellError, ipv4
from bascule.estate.model import Estate, Nic, Vm
from bascule.migration.answers import Answers
from bascule.migration.checks import CHECKS
from bascule.migration.errors import MigrationInputError
from bascule.migration.options import Options
from bascule.migration.questions import QUESTIONS
from bascule.migration.wizard_values import several

QUESTION, CHECK = "assess.question.", "assess.check."
ADDRESS = "identity.address."
VLAN, SUBNET = "networks.vlan.", "networks.subnet."
ME = "the wizard"


def inline(answers: Mapping[str, str]) -> Answers:
    """What was answered on the pages. Raises MigrationInputError for a value that cannot be one."""
    document: dict[str, Any] = {
        "questions": _under(answers, QUESTION, QUESTIONS),
        "checks": _under(answers, CHECK, CHECKS),
        "port_groups": _under(answers, VLAN),
        "subnets": {vid: _subnet(text) for vid, text in _under(answers, SUBNET).items()},
    }
    return Answers.of(document, ME, QUESTIONS, tuple(CHECKS))


def merged(file: Answers, mine: Answers) -> Answers:
    """Both; what was answered on a page counts before the file."""
    return Answers(
        {**file.questions, **mine.questions},
        {**file.checks, **mine.checks},
        {**file.port_groups, **mine.port_groups},
        {**file.subnets, **mine.subnets},
    )


def address_field(vm: Vm, nic: Nic) -> str:
    """The id of the field that asks for a NIC's address."""
    return f"{ADDRESS}{nic.index} {vm.key}"


def addressed(estate: Estate, answers: Mapping[str, str]) -> Estate:
    """The estate with the addresses that were answered, for NICs whose source tells none. Raises
    MigrationInputError."""
    given = {key: value for key, value in answers.items() if key.startswith(ADDRESS)}
    if not given:
        return estate
    for value in given.values():
        address(value)

    def told(vm: Vm, nic: Nic) -> Nic:
        ip = given.get(address_field(vm, nic), "")
        return replace(nic, ips=(ip,)) if ip and not nic.ips else nic

    vms = tuple(replace(vm, nics=tuple(told(vm, nic) for nic in vm.nics)) for vm in estate.vms)
    return replace(estate, vms=vms)


def address(text: str) -> str:
    """An IPv4 address. Raises MigrationInputError."""
    try:
        return ipv4(text)
    except CellError as error:
        raise MigrationInputError(f"{ME}: {error}", fix="for example 10.110.0.20") from None


def options(answers: Mapping[str, str]) -> Options:
    """The options of `plan build`, with its defaults for what was not answered."""
    default = Options()

    def text(name: str, otherwise: str = "") -> str:
        return answers.get(name, otherwise)

    return Options(
        namespace=text("networks.namespace", default.namespace),
        network=text("networks.network"),
        trunk=text("networks.trunk"),
        node_selector=text("networks.nodes"),
        wave_vms=int(text("waves.vms", str(default.wave_vms))),
        wave_gib=int(text("waves.gib", str(default.wave_gib))),
        labels=tuple(several(text("identity.labels"))),
        take=tuple(several(text("identity.take"))),
        storage_class=text("review.storage"),
    )


def _under(answers: Mapping[str, str], start: str, known: Any = None) -> dict[str, str]:
    found = {key[len(start) :]: value for key, value in answers.items() if key.startswith(start)}
    return {key: value for key, value in found.items() if known is None or key in known}


def _subnet(text: str) -> dict[str, str]:
    cidr, _, gateway = text.partition(" ")
    return {"cidr": cidr, "gateway": gateway.strip()}
