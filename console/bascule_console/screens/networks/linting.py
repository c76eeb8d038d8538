"""Lint of one document while it is written, in the light of what the store knows of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bascule.lint import lint
from bascule_console.services.proposal import Note, note_of
from bascule_console.store.pools import POOLS
from bascule_console.store.vms import ATTACHMENTS, NETWORKS, NODES

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

CONTEXT = (NETWORKS, POOLS, ATTACHMENTS, NODES)


def lint_here(app: BasculeApp, document: Mapping[str, Any]) -> list[Note]:
    """What lint says about the document. VMs are left out: no rule on a Network looks at them, and they are many."""
    inventory = app.store.inventory
    context = [obj for kind in CONTEXT for obj in inventory.all(kind)]
    return [note_of(finding) for finding in lint([document], context)]
