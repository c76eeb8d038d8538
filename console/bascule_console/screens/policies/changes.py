"""The ways from a policy on screen to a change of it: form, YAML, order, promotion, revert; and to its effect."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bascule.errors import BasculeError
from bascule.resources.policy import Policy
from bascule.text import escape
from bascule_console.actions.model import Action
from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.policies.tree import POLICY, RULE, TIER, Line

if TYPE_CHECKING:
    from bascule_console.services.proposal import Proposal
    from bascule_console.store.policyworld import World


class ChangesPolicies(BasculeScreen):
    """A screen with a line of the tree under the cursor, `current`."""

    MODE = "policies"

    def current(self) -> Line | None:
        """The line that keys act on."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they make sense: promotion on what is staged, order on what has one."""
        if action in ("show_yaml", "edit_policy", "edit_policy_yaml", "delete_policy", "revert_policy"):
            line = self.current() if self.is_mounted else None
            if line is None or line.level == TIER:
                return False
        if action == "promote_policy" and self.is_mounted:
            line = self.current()
            if line is None or not line.staged:
                return False
        return super().check_action(action, parameters)

    def action_show_yaml(self) -> None:
        """The policy as the cluster has it."""
        from bascule_console.screens.dialogs import TextDialog, yaml_lines

        found = self._found()
        if found is not None:
            world, policy, _ = found
            self.app.push_screen(TextDialog(policy.ref, yaml_lines(world.raw[policy.identity])))

    def action_new_policy(self) -> None:
        """An empty form; the tier under the cursor is filled in."""
        from bascule_console.screens.policies.form import PolicyFormScreen
        from bascule_console.services.policyform import PolicyForm

        line = self.current()
        start = PolicyForm(tier=line.tier if line is not None and line.tier != "default" else "")
        self.app.push_screen(PolicyFormScreen(action("new_policy"), start, None))

    def action_edit_policy(self) -> None:
        """The form of the policy, staged; or its YAML where the form cannot hold all of it."""
        from bascule_console.screens.policies.form import PolicyFormScreen
        from bascule_console.services.policyform import from_policy

        found = self._found()
        if found is None:
            return
        base = self._base(found[0], found[1])
        form, beyond = from_policy(base)
        if beyond:
            self.app.notify(escape(f"as YAML: {beyond}"), markup=False)
            self.action_edit_policy_yaml()
        else:
            self.app.push_screen(PolicyFormScreen(action("edit_policy"), form, base))

    def action_edit_policy_yaml(self) -> None:
        """The policy as YAML, staged."""
        from bascule_console.screens.policies.editor import PolicyEditor
        from bascule_console.store.documents import as_yaml

        found = self._found()
        if found is not None:
            text = as_yaml(self._base(found[0], found[1]))
            self.app.push_screen(PolicyEditor(action("edit_policy_yaml"), text))

    def action_promote_policy(self) -> None:
        """Put a staged policy in force."""
        from bascule_console.screens.policies.propose import of_promotion

        found = self._found()
        if found is not None and found[2].staged:
            self._review("promote_policy", of_promotion(self.app, found[0], found[1]))

    def action_revert_policy(self) -> None:
        """Take back the policy's last change."""
        from bascule_console.screens.policies.propose import of_reversal

        found = self._found()
        if found is not None:
            self._review("revert_policy", of_reversal(self.app, found[1]))

    def action_delete_policy(self) -> None:
        """Discard a staged policy; of an enforced one, stage the deletion."""
        from bascule_console.screens.policies.propose import of_deletion

        found = self._found()
        if found is not None:
            self._review("delete_policy", of_deletion(self.app, found[0], found[1]))

    def action_policy_up(self) -> None:
        """A place earlier: a policy in its tier, a rule in its policy."""
        self._move("policy_up", -1)

    def action_policy_down(self) -> None:
        """A place later."""
        self._move("policy_down", 1)

    def action_what_if(self) -> None:
        """What the staged policy under the cursor would do to recorded traffic; elsewhere, all staged ones together."""
        from bascule_console.screens.policies.whatif import WhatIfScreen

        line = self.current()
        self.app.push_screen(WhatIfScreen(line.identity if line is not None and line.staged else None))

    def action_explain_path(self) -> None:
        """The verdict on one connection and the path to it."""
        from bascule_console.screens.policies.explain import ExplainDialog

        self.app.push_screen(ExplainDialog())

    def _base(self, world: World, policy: Policy) -> dict[str, Any]:
        """What is edited: the staged twin, the one that is there already before a new one."""
        from bascule_console.services.policychange import STAGED_OF, staged_twin

        kind, namespace, name = policy.identity
        twin = world.raw.get((STAGED_OF.get(kind, kind), namespace, name))
        if twin is not None and not policy.staged:
            self.app.notify(escape(f"{policy.ref} has a staged twin: that is edited"), markup=False)
        return staged_twin(twin or world.raw[policy.identity])

    def _move(self, name: str, step: int) -> None:
        from bascule_console.screens.policies.propose import of_document
        from bascule_console.services.policyorder import moved, rule_moved

        found = self._found()
        if found is None:
            return
        world, policy, line = found
        try:
            if line.level == RULE:
                document = rule_moved(world, policy, line.direction, line.rule, step)
            else:
                document = moved(world, policy, step)
        except BasculeError as error:
            self.app.say(error)
            return
        self._review(name, of_document(self.app, document))

    def _review(self, name: str, proposal: Coroutine[Any, Any, Proposal]) -> None:
        from bascule_console.screens.review.screen import Review

        wanted: Action = action(name)
        self.app.push_screen(Review(wanted, proposal))

    def _found(self) -> tuple[World, Policy, Line] | None:
        """The policy of the line; one that left meanwhile is said so."""
        line, world = self.current(), self.app.store.policy.world
        if line is None or world is None or line.level not in (POLICY, RULE):
            return None
        policy = world.every.get(line.identity)
        if policy is None or policy.identity not in world.raw:
            self.app.notify(escape(f"{'/'.join(filter(None, line.identity))} is not there any more"), markup=False)
            return None
        return world, policy, line
