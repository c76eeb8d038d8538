"""Actions of the flow screen beside freezing, which it shares with the live screen."""

from __future__ import annotations

from bascule_console.actions.model import Action

ACTIONS: tuple[Action, ...] = (
    Action(id="show_flows", label="Flows", key="1", scope=("flows",), verb="bascule flows --follow"),
    Action(id="show_talkers", label="Top", key="2", scope=("flows",), verb="bascule flows top"),
    Action(id="show_drops", label="Drops", key="3", scope=("flows",), verb="bascule flows verdict:drop,deny --last N"),
    Action(id="show_arp", label="ARP", key="4", scope=("flows",), verb="bascule flows proto:arp,rarp --last N"),
    Action(id="facets", label="Facets", key="F", scope=("flows",), verb="bascule flows top --by COLUMN"),
    Action(id="next_way", label="By", key="b", scope=("flows",), verb="bascule flows top --by COLUMNS"),
    Action(id="next_span", label="2/10/60 s", key="t", scope=("flows",), verb="bascule flows top --over SECONDS"),
    Action(id="numbers", label="Numbers", key="n", scope=("flows",), verb="bascule flows -o json"),
    Action(id="follow", label="Follow", key="f", scope=("flows",), verb="bascule flows --follow"),
    Action(id="copy_row", label="Copy", key="c", scope=("flows",)),
    Action(id="copy_json", label="Copy JSON", key="C", scope=("flows",), footer=False, verb="bascule flows -o json"),
    Action(id="go_vm", label="VM", key="v", scope=("flows",), footer=False, verb="bascule vms show NAME"),
)
