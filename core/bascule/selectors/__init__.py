"""Calico's selector grammar: parse, evaluate, canonical text.

Source: projectcalico/calico libcalico-go/lib/selector (reference/calico-l2.md section 7.1).
"""

from bascule.selectors.ast import Node
from bascule.selectors.parser import parse
from bascule.selectors.tokens import SelectorError

__all__ = ["Node", "SelectorError", "parse"]
