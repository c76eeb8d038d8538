"""The ways from a Network on screen to a change of it: form, YAML, deletion; the list and the detail share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bascule.errors import UnreachableError
from bascule.text import escape
from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.store.vms import NETWORKS

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp
    from bascule_console.services.session import Session


class ChangesNetworks(BasculeScreen):
    """A screen with a Network under the cursor, `current`."""

    MODE = "networks"

    def current(self) -> str:
        """The name of the Network that keys act on, "" for none."""
        raise NotImplementedError

    def subject(self) -> tuple[str, str] | None:
        """The Network, for `y`."""
        return (NETWORKS, self.current()) if self.current() else None

    def action_new_network(self) -> None:
        """An empty form."""
        from bascule_console.screens.networks.form import NetworkFormScreen

        self.app.push_screen(NetworkFormScreen(action("new_network"), None))

    def action_edit_network(self) -> None:
        """The form of the Network, or its YAML where the form cannot hold all of it."""
        from bascule_console.screens.networks.form import NetworkFormScreen
        from bascule_console.services.networkform import from_network

        base = self._document()
        if base is None:
            return
        _, beyond = from_network(base)
        if beyond:
            self.app.notify(escape(f"as YAML: {beyond}"), markup=False)
            self.action_edit_network_yaml()
        else:
            self.app.push_screen(NetworkFormScreen(action("edit_network"), base))

    def action_edit_network_yaml(self) -> None:
        """The Network as YAML."""
        from bascule_console.screens.networks.editor import YamlEditor
        from bascule_console.store.documents import as_yaml

        base = self._document()
        if base is not None:
            self.app.push_screen(YamlEditor(action("edit_network_yaml"), as_yaml(base)))

    def action_delete_network(self) -> None:
        """Delete it, if nothing hangs on it."""
        from bascule_console.screens.review.screen import Review
        from bascule_console.services.proposal import of_delete

        if self.current():
            self.app.push_screen(Review(action("delete_network"), of_delete(session_of(self.app), self.current())))

    def _document(self) -> dict[str, Any] | None:
        name = self.current()
        found: Mapping[str, Any] | None = self.app.store.inventory.get(NETWORKS, name) if name else None
        if found is None and name:
            self.app.notify(escape(f"{name} is not there any more"), markup=False)
        return dict(found) if found is not None else None


def session_of(app: BasculeApp) -> Session:
    """The session that a change goes through. Raises UnreachableError without one."""
    if app.session is None:
        raise UnreachableError("there is no cluster to change", fix="start the console on a kubeconfig")
    return app.session
