"""The filter language of flows: one text for screen, verb, agent, history and files.

    vlan:110 src:web-* dst.ns:prod port:443 verdict:drop !proto:udp rtt>5ms

Terms side by side must all hold. It is compiled to numpy masks over packed records (bascule.flows.scene); names are
resolved once per port and per distinct end. Grammar and fields: docs/reference/flow-filters.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bascule.flows.filter.complete import complete
from bascule.flows.filter.errors import FilterError
from bascule.flows.filter.fields import FIELDS, Field
from bascule.flows.filter.nodes import Everything, Mask, Node
from bascule.flows.filter.parser import parse
from bascule.flows.scene import Scene

__all__ = ["FIELDS", "Field", "Filter", "FilterError", "complete", "read_filter"]


@dataclass(frozen=True)
class Filter:
    """A filter that parsed; `text` as it was written."""

    text: str = ""
    tree: Node = field(default_factory=Everything, compare=False)

    @property
    def everything(self) -> bool:
        """Whether it keeps everything."""
        return isinstance(self.tree, Everything)

    def mask(self, scene: Scene) -> Mask:
        """(n,) where the records hold; in a partial scene, where they may."""
        return self.tree.bounds(scene)[1]


def read_filter(text: str) -> Filter:
    """The filter of a text; an empty one keeps everything. Raises FilterError, which names the character."""
    return Filter(text.strip(), parse(text))
