"""The wizard walked by keys: answers, problems, actions, errors, what a read-only session may do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests_wizard_pages import NASTY, Told, nasty_page, page, review_page, run_page, write_book
from textual.pilot import Pilot

from bascule.errors import RefusedError, UsageError
from bascule.migration.wizard_page import Action, Choice, Field, Gate, Page, Problem
from bascule_console.app import BasculeApp
from bascule_console.screens.dialogs import Confirm, TextDialog
from bascule_console.screens.wizard.dialogs import DiffDialog, PickDialog
from bascule_console.screens.wizard.fields import FieldRow
from bascule_console.screens.wizard.screen import WizardScreen
from bascule_console.services import wizard as service
from bascule_console.store.store import Store


def shown(app: BasculeApp) -> str:
    """The screen as text."""
    return "\n".join("".join(s.text for s in line) for line in app.screen._compositor.render_strips())


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await pilot.pause(0.02)


async def sees(pilot: Pilot[None], *words: str) -> None:
    """Until they stand on the screen."""
    app = pilot.app
    assert isinstance(app, BasculeApp)
    await until(pilot, lambda: all(each in shown(app) for each in words))


@asynccontextmanager
async def walking(
    monkeypatch: pytest.MonkeyPatch, told: Any = None, size: tuple[int, int] = (100, 40), **more: Any
) -> Any:
    """The wizard's screen, resumed; `told` instead of the service."""
    if told is not None:
        monkeypatch.setattr(service, "Wizard", told)
    app = BasculeApp(Store(), None, **more)
    async with app.run_test(size=size) as pilot:
        app.open("wizard")
        screen = app.screen
        assert isinstance(screen, WizardScreen)
        await until(pilot, lambda: screen.page is not None and not screen._busy)
        await pilot.pause()
        yield app, screen, pilot


def row(screen: WizardScreen, name: str) -> FieldRow:
    found = screen.view.fields.row(name)
    assert found is not None
    return found


def asking(**gates: Any) -> Page:
    """Step 2 with one field of each kind."""
    fields = (
        Field("assess.q", "Is observability required?", "yes-no", "", (), "asked of the owners"),
        Field("assess.cluster", "Cluster to look at", "choice", "none",
              (Choice("current", "context lab"), Choice("none", "files alone"))),
        Field("assess.n", "VMs in one wave", "number", "20"),
        Field("assess.flows", "Recorded flows", "path", "", (), "a capture", many=True),
    )  # fmt: skip
    problems = (
        Problem("warning", "no flows", "", "record some", "assess.flows"),
        Problem("error", "no VM", "", "read one", "source.files"),
    )
    return page("assess", fields=fields, problems=problems, **gates)


async def test_answers_are_given_by_keys_and_kept_by_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"assess": asking()}, "assess")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        await pilot.press("e", "right")  # the first one without an answer
        await until(pilot, lambda: ("answer", "assess.q", "yes") in told.log)
        await pilot.press("down", "left", "down", "right")  # the default is taken, to be kept
        assert row(screen, "assess.n").value == "20"
        await pilot.press("backspace", "5", "down", *"a.pcap", "escape")
        await until(pilot, lambda: ("answer", "assess.flows", "a.pcap") in told.log)
        assert told.log == [
            ("answer", "assess.q", "yes"),
            ("answer", "assess.cluster", "current"),
            ("answer", "assess.n", "25"),
            ("answer", "assess.flows", "a.pcap"),
        ]
        assert app.screen is screen and app.focused is screen.view
        await pilot.press("escape")
        assert app.screen is not screen
        app.open("wizard")
        await pilot.pause()
        await sees(pilot, "a.pcap")


async def test_an_answer_that_is_not_understood_stays_in_its_field_with_why(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"assess": asking()}, "assess")
    told.errors["answer"] = UsageError("no number", "it is 'many'", "a number from 1 to 500")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        row(screen, "assess.n").control.focus()
        await pilot.press(*"many", "ctrl+n")
        await until(pilot, lambda: "no number: it is 'many'" in shown(app))
        assert row(screen, "assess.n").value == "many" and told.state.step == "assess"
        del told.errors["answer"]
        row(screen, "assess.n").control.focus()
        await pilot.press("backspace", "backspace", "backspace", "backspace", "7", "ctrl+n")
        await until(pilot, lambda: told.state.step == "networks")
        assert ("answer", "assess.n", "7") in told.log


async def test_what_is_typed_survives_a_page_that_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"assess": asking()}, "assess")
    async with walking(monkeypatch, told) as (_, screen, pilot):
        row(screen, "assess.flows").control.focus()
        await pilot.press(*"half")
        screen.again()
        await until(pilot, lambda: not screen._busy)
        assert row(screen, "assess.flows").value == "half"
        assert screen.focused is row(screen, "assess.flows").control


async def test_a_problem_leads_to_the_field_that_mends_it_also_on_another_step(monkeypatch: pytest.MonkeyPatch) -> None:
    source = page("source", fields=(Field("source.files", "Files", "path"),))
    told = Told({"assess": asking(), "source": source}, "assess")
    async with walking(monkeypatch, told) as (_, screen, pilot):
        await pilot.press("m")
        assert screen.focused is row(screen, "assess.flows").control
        await pilot.press("f8")  # the next one, from within a field
        await until(pilot, lambda: screen.page is not None and screen.page.id == "source")
        await until(pilot, lambda: screen.focused is row(screen, "source.files").control)
        assert ("go", "source") in told.log


async def test_the_gate_says_why_not_and_the_error_stands_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"assess": asking(next=Gate(False, "name a file first"))}, "assess")
    told.errors["next"] = RefusedError("name a file first", "there is none", "e, then type one")
    async with walking(monkeypatch, told, size=(80, 24)) as (app, screen, pilot):
        await sees(pilot, "not further yet: name a file first")
        await pilot.press("n")
        await until(pilot, lambda: "cause      there is none" in shown(app))
        assert "fix        e, then type one" in shown(app) and screen.page is not None
        assert screen.page.id == "assess"


async def test_steps_by_number_and_by_list(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({}, "networks", "waves")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        await pilot.press("1")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "source")
        await pilot.press("w")
        assert isinstance(app.screen, PickDialog)
        await pilot.press("9")  # not reached
        assert isinstance(app.screen, PickDialog)
        await pilot.press("6")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "waves")
        await pilot.press("b")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "policies")
        assert told.log == [("go", "source"), ("go", "waves"), ("back",)]


async def test_tab_goes_through_the_parts_and_enter_opens_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"run": run_page(), "review": review_page()}, "run", "run")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        visited = []
        for _ in screen.view.sections():
            await pilot.press("tab")
            assert screen.focused is not None
            visited.append(screen.focused.id or type(screen.focused).__name__)
        assert visited == ["OptionList", "progress", "Answer", "OptionList", "facts-vms", "page"]
        screen.query_one("#progress").focus()
        await pilot.press("down", "enter")
        assert isinstance(app.screen, TextDialog)
        await sees(pilot, "3.2GB of 8.6GB", "105MB/s", "51.2 s", "copied at this rate")
        await pilot.press("escape", "7")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "review")
        await pilot.press("v")
        assert isinstance(app.screen, DiffDialog)
        await sees(pilot, "+- vlan: {id: 110}", "+kind: IPPool")


async def test_a_danger_action_is_asked_about_and_done_beside_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"run": run_page(), "review": review_page()}, "run", "run")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        await pilot.press("a")
        await sees(pilot, "What is to be done", "not now: nothing runs")
        await pilot.press("2")  # start
        assert isinstance(app.screen, PickDialog)
        await pilot.press("2")  # the second wave
        assert isinstance(app.screen, Confirm)
        await sees(pilot, "Start a wave, 2: Shut down the VMs")
        await pilot.press("n")
        assert told.log == []
        await pilot.press("a", "2", "2", "y")
        await until(pilot, lambda: told.log == [("act", "start", "2")])
        told.errors["act"] = RefusedError("the server refused", "no right", "ask for it")
        await pilot.press("b")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "review")
        await pilot.press("a", "2")
        await sees(pilot, "Apply to {x} lab-admin?")
        await pilot.press("y")
        await until(pilot, lambda: "cause      no right" in shown(app))
        assert screen.doing == ""


async def test_while_something_runs_the_page_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"run": run_page()}, "run", "run")
    monkeypatch.setattr("bascule_console.screens.wizard.screen.POLL_S", 0.05)
    async with walking(monkeypatch, told) as (app, screen, pilot):
        told.running = True
        told.pages["run"] = page("run", summary="2 of 5 VMs moved", progress=run_page().progress[:2])
        await until(pilot, lambda: "2 of 5 VMs moved" in shown(app))
        told.pages["run"] = page("run", summary="it ended")
        told.running = False
        await until(pilot, lambda: "it ended" in shown(app))  # asked once more
    assert told.closed


@pytest.mark.parametrize("more", [{"read_only": True}, {"protected": True}])
async def test_read_only_takes_danger_away_and_protected_wants_the_name(
    monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    told = Told({"run": run_page()}, "run", "run")
    async with walking(monkeypatch, told, **more) as (app, screen, pilot):
        if "read_only" in more:
            assert "Start a wave" not in shown(app) and "Check a wave" in shown(app)
            with pytest.raises(RefusedError, match="may not move VMs"):
                screen.refuse("move VMs")
            return
        await pilot.press("a", "2", "1", "y", "enter")
        assert isinstance(app.screen, Confirm)
        await sees(pilot, "'y' is not '1'")
        await pilot.press("backspace", "1", "enter")
        await until(pilot, lambda: told.log == [("act", "start", "1")])


async def test_a_slow_page_says_so_and_keys_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"assess": asking()}, "assess", "waves")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        told.ready.clear()
        await pilot.press("n")
        await sees(pilot, "making the next step")
        await pilot.press("question_mark")
        await sees(pilot, "bascule wizard --plain")
        await pilot.press("escape")
        told.ready.set()
        await until(pilot, lambda: screen.page is not None and screen.page.id == "networks")


async def test_begin_anew_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({}, "waves")
    async with walking(monkeypatch, told) as (app, screen, pilot):
        await pilot.press("ctrl+r")
        await sees(pilot, "Forget every answer")
        await pilot.press("y")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "source")
        assert told.log == [("restart",)]


async def test_text_from_outside_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told({"identity": nasty_page()}, "identity", "run")
    told.errors["act"] = RefusedError(NASTY, NASTY, NASTY)
    async with walking(monkeypatch, told, size=(160, 60), ascii_only=True) as (app, screen, pilot):
        ways: tuple[tuple[str, ...], ...] = (
            (),
            ("e",),
            ("escape", "a"),
            ("escape", "v"),
            ("escape", "w"),
            ("escape", "ctrl+n"),
        )
        for keys in ways:
            await pilot.press(*keys)
            await pilot.pause(0.1)
            text = shown(app)
            assert not set(text) - {"\n"} & {chr(code) for code in range(32)}
            assert "\u202e" not in text
            assert text.isascii(), sorted({char for char in text if not char.isascii()})


async def test_a_walk_with_the_service_from_files_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Real pages: a book that is not there, then one that is; its answers are there again in another session."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = write_book(tmp_path / "old.xlsx")
    async with walking(monkeypatch) as (app, screen, pilot):
        assert screen.focused is row(screen, "source.files").control  # nothing to read but one field to fill
        await pilot.press(*str(tmp_path / "not.xlsx"), "enter")
        await until(pilot, lambda: "cannot be read" in shown(app) and not screen._busy)
        await pilot.press("f8", "ctrl+u", *str(path)[:-3])
        await until(pilot, lambda: "right takes the first: old.xlsx" in shown(app))
        await pilot.press("right", "ctrl+n")
        await until(pilot, lambda: screen.page is not None and screen.page.id == "assess")
        await sees(pilot, "error")  # two VMs have one address
    async with walking(monkeypatch) as (app, screen, pilot):
        assert screen.page is not None and screen.page.id == "assess"
        await pilot.press("b")
        await until(pilot, lambda: "old.xlsx" in shown(app))


async def test_a_state_that_cannot_be_read_is_told_and_one_begins_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = tmp_path / "bascule" / "wizard.json"
    kept.parent.mkdir()
    kept.write_text("{")
    async with walking(monkeypatch) as (app, screen, pilot):
        await until(pilot, lambda: "no state of the wizard" in " ".join(shown(app).split()))
        assert "this is a new walk" in " ".join(shown(app).split())
        assert screen.page is not None and screen.page.id == "source"
        assert list(kept.parent.glob("wizard.json.*"))


def test_every_action_of_the_table_is_there() -> None:
    from bascule_console.actions.registry import actions_in

    own = [each for each in actions_in("wizard") if each.scope == ("wizard",)]
    assert len(own) >= 9
    missing = [each.id for each in own if not hasattr(WizardScreen, f"action_{each.id}")]
    assert missing == ["wizard_change"]  # it is the right to do the page's own danger actions
    assert isinstance(Action("a", "b", "c"), Action)
