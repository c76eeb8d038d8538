"""Selectors of policies as one expression on one flat set of labels, the way Calico's own syncer rewrites them.

An endpoint's or network set's labels are joined by those of its namespace under `namespace:` and of its service account
under `serviceaccount:` (Calico: `pcns.` and `pcsa.`; a colon cannot stand in a label, so nobody can forge one). Then
namespaceSelector, serviceAccounts and the limit to a policy's own namespace are comparisons like any other.
Source: projectcalico/calico libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go (GetEntityRuleSelector).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bascule.selectors.ast import And, Compare, Everything, Has, Member, Node, Not, Or

NAMESPACE, SERVICE_ACCOUNT = "projectcalico.org/namespace", "projectcalico.org/serviceaccount"
ORCHESTRATOR = "projectcalico.org/orchestrator"
OBJECT_NAME = "projectcalico.org/name"
OF_NAMESPACE, OF_ACCOUNT = "namespace:", "serviceaccount:"


def flat(
    own: Mapping[str, str],
    namespace: str = "",
    namespace_labels: Mapping[str, str] | None = None,
    account: str = "",
    account_labels: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The flat labels of an object: its own, its namespace's and its service account's with their names."""
    labels = {key: value for key, value in own.items() if ":" not in key}
    if namespace:
        labels[NAMESPACE] = namespace
        inherited = {**(namespace_labels or {}), OBJECT_NAME: namespace}
        labels |= {OF_NAMESPACE + key: value for key, value in inherited.items()}
    if account:
        labels[SERVICE_ACCOUNT] = account
        inherited = {**(account_labels or {}), OBJECT_NAME: account}
        labels |= {OF_ACCOUNT + key: value for key, value in inherited.items()}
    return labels


def conjunction(*parts: Node | None) -> Node | None:
    """All of the given parts; None when none is given."""
    given = tuple(part for part in parts if part is not None)
    return (given[0] if len(given) == 1 else And(given)) if given else None


def in_namespace(namespace: str) -> Node:
    return Compare(NAMESPACE, "==", namespace)


def has_global(selector: Node) -> bool:
    """Does global() stand anywhere in it?"""
    if isinstance(selector, Everything):
        return selector.name == "global"
    if isinstance(selector, Not):
        return has_global(selector.operand)
    return isinstance(selector, (And, Or)) and any(map(has_global, selector.operands))


def of_namespace(selector: Node | None) -> Node | None:
    """A namespaceSelector on flat labels: all() is any namespace, global() is what has none."""
    if selector is None:
        return None
    if isinstance(selector, Everything):
        return Not(Has(NAMESPACE)) if selector.name == "global" else Has(NAMESPACE)
    if isinstance(selector, Not):
        return Not(_given(of_namespace(selector.operand)))
    if isinstance(selector, (And, Or)):
        return type(selector)(tuple(_given(of_namespace(operand)) for operand in selector.operands))
    return _prefixed(selector, OF_NAMESPACE)


def of_account(selector: Node | None) -> Node | None:
    """A service account selector on flat labels."""
    return None if selector is None else _prefixed(selector, OF_ACCOUNT)


def account_in(names: tuple[str, ...]) -> Node | None:
    """One of these service accounts; None (no limit) when no name is given."""
    return Member(SERVICE_ACCOUNT, tuple(sorted(set(names))), False) if names else None


def _prefixed(node: Node, prefix: str) -> Node:
    if isinstance(node, (Has, Compare, Member)):
        return replace(node, label=prefix + node.label)
    if isinstance(node, Not):
        return Not(_prefixed(node.operand, prefix))
    if isinstance(node, (And, Or)):
        return type(node)(tuple(_prefixed(operand, prefix) for operand in node.operands))
    return node


def _given(node: Node | None) -> Node:
    assert node is not None
    return node
