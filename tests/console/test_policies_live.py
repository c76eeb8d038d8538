"""The policy screen on the lab's API and real agents, with keys: stage, look, promote, revert; order; bad input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests_policy_world import address, pod, policy, tcp
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from bascule_console.app import BasculeApp
from bascule_console.screens.networks.editor import MarkedText
from bascule_console.screens.policies.detail import PolicyDetail
from bascule_console.screens.policies.editor import PolicyEditor
from bascule_console.screens.policies.form import PolicyFormScreen
from bascule_console.screens.policies.panel import ImpactPanel
from bascule_console.screens.policies.tree import POLICY
from bascule_console.screens.review.screen import Review
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import GLOBALNETWORKPOLICY, NETWORKPOLICY, STAGEDNETWORKPOLICY, VM, VMI

WEB = ("policy", "NetworkPolicy", "vms", "web")
STAGED = ("policy", "StagedNetworkPolicy", "vms", "web")
ONLY_ECHO = {"order": 100, "selector": "app == 'web'", "types": ["Ingress"], "ingress": [tcp("Allow", 7)]}


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


async def start(live: Any, record: Any) -> None:
    """Two VMs on one node that speak tcp/7 and tcp/22."""
    await live.start(nodes=1)
    for number in (1, 2):
        await live.run(f"web-{number}", "node1")
        template = (await live.cluster.get(VM, f"web-{number}", "vms"))["spec"]["template"]["spec"]
        await live.cluster.merge_patch(VMI, f"web-{number}", {"spec": template}, "vms")
        await live.put(pod(f"web-{number}", *address(f"web-{number}")))
    live.agents["node1"].drain(
        record(20, "web-1", "web-2", packets=7),
        record(20, "web-1", "web-2", packets=4, ports=(40001, 22)),
        record(21, "web-1", "web-2", packets=7, direction=0),
    )


@asynccontextmanager
async def console(live: Any, context: str = "lab-admin", **more: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    """The app on the policy screen, once the world is read and the rights are known."""
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, context), **more)
    async with app.run_test(size=(130, 40)) as pilot:
        app.open("policies")
        await until(pilot, lambda: store.policy.world is not None and store.rights.granted)
        await until(pilot, lambda: store.policy.world and len(store.policy.world.endpoints) == 2)
        yield app, pilot


async def until(pilot: Pilot[None], probe: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for `probe` to be true."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := probe()):
                await pilot.pause(0.05)
    except TimeoutError:
        shown = [str(each.render()) for each in pilot.app.screen.query(Static)]
        pytest.fail(f"it did not come; {pilot.app.screen} says {shown}")
    return found


async def line(pilot: Pilot[None], key: Any) -> None:
    """Wait for a line of the tree and put the cursor on it."""
    app = pilot.app
    await until(pilot, lambda: getattr(app.screen, "MODE", "") == "policies" and app.screen.show_key(key))
    await pilot.pause(0.1)


async def apply(pilot: Pilot[None]) -> str:
    """Make the change that is reviewed; returns its notes."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
    notes = words(app, "#notes")
    await pilot.press("a")
    await until(pilot, lambda: getattr(app.screen, "MODE", "") == "policies")
    return notes


def words(app: Any, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


async def names(live: Any, kind: Any) -> list[str]:
    return [each["metadata"]["name"] for each in await live.cluster.list(kind)]


async def test_stage_look_promote_revert(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    async with console(live) as (app, pilot):
        await pilot.press("n")
        form = await until(pilot, lambda: isinstance(app.screen, PolicyFormScreen) and app.screen)
        await pilot.press(*"web", "tab", *"vms", "tab", "tab", *"100", "tab", *"app == 'web'", "tab", "tab", "tab")
        await pilot.press(*"in Allow tcp ports 7")
        await until(pilot, lambda: (impact := form.query_one(ImpactPanel).impact) and [
            talker.port for talker in impact.forecast.talkers] == [22])  # fmt: skip
        found = form.query_one(ImpactPanel).impact
        assert found.selected == ("vms/web-1/net-0", "vms/web-2/net-0")
        assert [(each.port, each.packets, each.after) for each in found.forecast.talkers] == [(22, 4, "deny")]
        await pilot.press("ctrl+s")
        notes = await apply(pilot)
        assert "1 newly denied, 0 newly allowed of 2 conversations" in notes
        assert await names(live, STAGEDNETWORKPOLICY) == ["web"] and await names(live, NETWORKPOLICY) == []

        await line(pilot, STAGED)
        await pilot.press("w")
        await until(pilot, lambda: getattr(app.screen, "_rows", None))
        assert [row["source"] for row in app.screen._rows.values()] == ["vms/web-1/net-0"]
        await pilot.press("escape")

        await line(pilot, STAGED)
        await pilot.press("P")
        await apply(pilot)
        assert await names(live, STAGEDNETWORKPOLICY) == [] and await names(live, NETWORKPOLICY) == ["web"]
        live_spec = (await live.cluster.get(NETWORKPOLICY, "web", "vms"))["spec"]
        assert live_spec["order"] == 100 and "stagedAction" not in live_spec

        await line(pilot, WEB)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
        assert "#2, #3" in words(app, "#head")
        await apply(pilot)
        assert await names(live, STAGEDNETWORKPOLICY) == ["web"] and await names(live, NETWORKPOLICY) == []
        await until(pilot, lambda: len(app.store.journal.records) == 5)


async def test_order_by_key_goes_through_the_review(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    for name, order in (("a", 10), ("b", 20), ("c", 30)):
        await live.put(policy("GlobalNetworkPolicy", name, order=order, ingress=[tcp("Allow", 7), {"action": "Deny"}]))
    async with console(live) as (app, pilot):
        await line(pilot, ("policy", "GlobalNetworkPolicy", "", "c"))
        await pilot.press("ctrl+up")
        await until(pilot, lambda: isinstance(app.screen, Review) and "a apply" in words(app, "#keys"))
        assert "-  order: 30" in words(app, "#diff") and "+  order: 15" in words(app, "#diff")
        await apply(pilot)
        assert (await live.cluster.get(GLOBALNETWORKPOLICY, "c"))["spec"]["order"] == 15
        shown = [row.name for row in app.screen.table.view.source.rows().values() if row.level == POLICY]
        await until(pilot, lambda: [r.name for r in app.screen.table.view.source.rows().values() if r.level == POLICY]
                    == ["a", "c", "b"])  # fmt: skip
        assert len(shown) == 3
        await line(pilot, ("rule", "GlobalNetworkPolicy", "", "a", "Ingress", 0))
        await pilot.press("alt+down")
        await apply(pilot)
        rules = (await live.cluster.get(GLOBALNETWORKPOLICY, "a"))["spec"]["ingress"]
        assert [rule["action"] for rule in rules] == ["Deny", "Allow"]


BAD = {
    "selector": ("app == 'web'", "app = 'web'", "does not parse at character 5"),
    "tier": ("  tier: default", "  tier: nowhere", "does not exist"),
    "ports": ("    protocol: TCP\n", "", "ports need a protocol"),
    "families": ("  - action: Allow", "  - action: Allow\n    source: {nets: [10.0.0.0/8, 'fd00::/8']}", "one rule"),
    "nets": ("  - action: Allow", "  - action: Allow\n    source: {nets: [" + ", ".join(
        f"10.{n // 256}.{n % 256}.0/24" for n in range(300)) + "]}", "300 nets, the API takes 256"),
    "kind": ("kind: StagedNetworkPolicy", "kind: Network", "is no policy"),
    "yaml": ("spec:", "spec: [", "no YAML"),
}  # fmt: skip


async def test_bad_input_stays_in_the_editor(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.put(policy("NetworkPolicy", "web", **ONLY_ECHO))
    async with console(live) as (app, pilot):
        await line(pilot, WEB)
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, PolicyEditor))
        editor = app.screen.query_one(MarkedText)
        good = editor.text
        for case, (old, new, why) in BAD.items():
            assert old in good, case
            editor.text = good.replace(old, new, 1)
            await until(pilot, lambda: editor.marks)
            told = " ".join(str(option.prompt) for option in app.screen.query_one("#findings").options)
            assert why in told, (case, told)
            await pilot.press("ctrl+s")
            await pilot.pause(0.2)
            assert isinstance(app.screen, PolicyEditor), f"{case} went to the server"
            editor.text = good
            await until(pilot, lambda: not editor.marks)
        await pilot.press("escape")
    assert await names(live, STAGEDNETWORKPOLICY) == []


async def test_what_the_nics_cannot_hold_is_not_applied(live: Any, scene: Any) -> None:
    """Fifty single ports from fifty single ports are 2,500 rows; the maps hold 1,024."""
    await start(live, scene.record)
    odd = [*range(1, 100, 2)]
    rule = {"action": "Allow", "protocol": "TCP", "source": {"ports": odd}, "destination": {"ports": odd}}
    await live.put(policy("StagedNetworkPolicy", "web", **{**ONLY_ECHO, "ingress": [rule]}))
    async with console(live) as (app, pilot):
        await line(pilot, STAGED)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, Review) and "does not fit" in words(app, "#head"))
        assert "2502 rows; the data plane holds 1024" in words(app, "#head")
        await pilot.press("a", "escape")
        await line(pilot, STAGED)
        await pilot.press("E")
        await until(pilot, lambda: isinstance(app.screen, PolicyEditor) and app.screen.query_one(ImpactPanel).impact)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Review) and "mend it" in words(app, "#keys"))
        assert "2502 rows" in words(app, "#notes")
    assert await names(live, NETWORKPOLICY) == []


async def test_a_form_says_what_is_wrong_under_its_field(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    async with console(live) as (app, pilot):
        await pilot.press("n")
        form = await until(pilot, lambda: isinstance(app.screen, PolicyFormScreen) and app.screen)
        form.query_one("#name", Input).value = "web"
        form.query_one("#tier", Input).value = "nowhere"
        form.query_one("#rules", TextArea).text = "in Allow\nin Permit"
        await until(pilot, lambda: "Permit is no action" in words(app, "#rules-wrong"))
        assert words(app, "#rules-wrong").count("line 2") == 1
        form.query_one("#rules", TextArea).text = "in Allow"
        await until(pilot, lambda: "does not exist" in words(app, "#tier-wrong"))
        await pilot.press("ctrl+s")
        await pilot.pause(0.3)
        assert isinstance(app.screen, PolicyFormScreen)


async def test_completion_in_the_form_and_the_yaml(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.put(policy("NetworkPolicy", "web", **ONLY_ECHO))
    async with console(live) as (app, pilot):
        await line(pilot, WEB)
        await pilot.press("e")
        form = await until(pilot, lambda: isinstance(app.screen, PolicyFormScreen) and app.screen)
        rules = form.query_one("#rules", TextArea)
        rules.text = ""
        rules.focus()
        await pilot.press(*"in Allow from vm.", "ctrl+n", *"web-", "ctrl+n", "ctrl+n")
        await pilot.pause(0.2)
        assert rules.text == "in Allow from vm.kubevirt.io/name == 'web-2'"
        await pilot.press("ctrl+y")
        await until(pilot, lambda: isinstance(app.screen, PolicyEditor))
        assert "vm.kubevirt.io/name == 'web-2'" in app.screen.query_one(MarkedText).text
        await pilot.press("ctrl+t")
        await pilot.pause(0.3)
        assert "kind: NetworkPolicy" in app.screen.query_one(MarkedText).text
        assert "stagedAction" not in app.screen.query_one(MarkedText).text


async def test_a_viewer_can_look_and_change_nothing(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.put(policy("StagedNetworkPolicy", "web", **ONLY_ECHO))
    async with console(live, "lab-viewer") as (app, pilot):
        await line(pilot, STAGED)
        bound = {active.binding.action for active in app.screen.active_bindings.values()}
        assert {"what_if", "explain_path", "fold"} <= bound
        assert not bound & {
            "new_policy",
            "edit_policy",
            "promote_policy",
            "revert_policy",
            "policy_up",
            "delete_policy",
        }
        await pilot.press("P", "u", "e", "E", "n", "ctrl+d", "ctrl+up")
        await pilot.pause(0.3)
        assert app.screen.MODE == "policies"
    assert await names(live, STAGEDNETWORKPOLICY) == ["web"]


async def test_the_screen_shows_what_the_verbs_say(live: Any, scene: Any) -> None:
    await start(live, scene.record)
    await live.put(policy("Tier", "early", order=1))
    await live.put(policy("GlobalNetworkPolicy", "lost", tier="nowhere"))
    await live.put(policy("NetworkPolicy", "web", **{**ONLY_ECHO, "ingress": [tcp("Allow"), tcp("Deny", 22)]}))
    await live.put(policy("StagedNetworkPolicy", "web", **ONLY_ECHO))
    async with console(live) as (app, pilot):
        await line(pilot, WEB)
        code, out, err = await live.bascule("policies", "list", "-o", "json")
        assert code == 0, err
        rows = [row.row for row in app.screen.table.view.source.rows().values() if row.level == POLICY]
        assert rows == json.loads(out)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PolicyDetail))
        await until(pilot, lambda: app.store.policy.world.known_effects(WEB[1:]))
        await pilot.pause(0.3)
        code, out, err = await live.bascule("policies", "show", "web", "-o", "json")
        assert code == 0, err
        told = json.loads(out)
        shown = [row for row in app.screen.query_one("#rules").view.source.rows().values() if row.level == "rule"]
        assert [(row.direction, row.rule, row.effect or "effective") for row in shown] == [
            (rule["direction"], rule["rule"], rule["effect"]) for rule in told["ruleset"]
        ]
        assert [rule["effect"] for rule in told["ruleset"]] == ["effective", "shadowed"]
        nics = [nic.name for nic in app.screen.query_one("#nics").view.source.rows().values()]
        assert nics == [nic["name"] for nic in told["nics"]] == ["vms/web-1/net-0", "vms/web-2/net-0"]
    code, out, err = await live.bascule("vms", "show", "web-1", "-o", "json")
    assert code == 0, err
    expected = ["NetworkPolicy/vms/web", "StagedNetworkPolicy/vms/web"]
    assert [nic["policies"] for nic in json.loads(out)["nics"]] == [expected]
