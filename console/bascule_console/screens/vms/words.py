"""What is said about one VM: its NICs, where it runs, whether it can be moved. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule_console.screens.live.columns import phase_tone
from bascule_console.store.vms import VmRow
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts


def about(
    row: VmRow, nics: list[dict[str, Any]], glyphs: Glyphs, policies: Mapping[str, list[str]] | None = None
) -> list[Parts]:
    """One VM in lines; `policies` are those that apply to each NIC, None while they are not known."""
    moving = f", moving to {row.move}" if row.move else ""
    lines = [heading(row.key), fact("phase", f"{row.phase} on {row.node or 'no node'}{moving}", phase_tone(row))]
    movable = f"{glyphs.good} yes" if row.movable else f"{glyphs.bad} no: {row.why_not}"
    if row.phase == "Running":
        lines.append(fact("movable", movable, "" if row.movable else "busy"))
    for nic in nics:
        lines += _nic(nic, runs=bool(row.node))
        if policies is not None and nic["name"] in policies:
            asked = ", ".join(policies[nic["name"]]) or "none: the namespace allows"
            lines.append(fact("", f"policies {asked}", "muted"))
    return lines if nics else [*lines, fact("nics", "none", "muted")]


def _nic(nic: Mapping[str, Any], *, runs: bool) -> list[Parts]:
    """A NIC that a running VM waits for is worth a look; a stopped VM's are as they should be."""
    where = f"VLAN {nic['vlan']} of {nic['network']}" if nic["network"] else "no Network that is known"
    if not nic["nad"]:
        where = "the pod network"
    via = f" by {nic['nad']}" if nic["nad"] else ""
    waiting = nic["effect"] != "in effect"
    address = nic["ip"] or "no address yet"
    asked = f" (asked for {nic['asked']})" if nic["asked"] and nic["asked"] != nic["ip"] else ""
    lines = [
        fact(nic["name"], f"{where}{via}"),
        fact("", f"{address}{asked}  {nic['mac'] or 'no MAC'}"),
    ]
    return [*lines, fact("", f"takes effect {nic['effect']}", "busy" if runs else "muted")] if waiting else lines
