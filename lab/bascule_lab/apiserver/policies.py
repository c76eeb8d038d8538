"""ValidatingAdmissionPolicies: CEL over `object`, `oldObject` and `request`, for the policies that are bound.

Params, namespace selectors and variables that need functions missing here are named in a Warning, not skipped silently.
"""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.cel_values import CelError, bind, cannot_run, evaluate
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.status import FieldError, forbidden, invalid
from bascule_lab.apiserver.store import Store

_POLICIES = "validatingadmissionpolicies.admissionregistration.k8s.io"
_BINDINGS = "validatingadmissionpolicybindings.admissionregistration.k8s.io"
_EXEMPT = "admissionregistration.k8s.io"


def admit(store: Store, kind: Kind, new: Document, old: Document | None, options: WriteOptions) -> None:
    """Raises the refusal of the first policy that denies; warns when its binding says Warn."""
    bindings = store.items(_BINDINGS)
    if not bindings or kind.group == _EXEMPT:
        return
    operation = "UPDATE" if old is not None else "CREATE"
    for record in bindings.values():
        spec = record.document()["spec"]
        policy = store.get((_POLICIES, "", spec.get("policyName", "")))
        if policy is not None:
            _check(policy.document(), spec, kind, operation, new, old, options)


def _check(
    policy: Document, binding: Document, kind: Kind, operation: str, new: Document, old: Document | None,
    options: WriteOptions,
) -> None:  # fmt: skip
    spec, name = policy["spec"], policy["metadata"]["name"]
    if not _matches(spec, kind, operation):
        return
    own = new["metadata"]
    about = {"group": kind.group, "version": kind.version, "resource": kind.plural}
    request = {"operation": operation, "name": own["name"], "namespace": own.get("namespace", ""), "resource": about}
    values: dict[str, Any] = {"object": bind(kind.root, new), "request": request}
    values["oldObject"] = None if old is None else bind(kind.root, old)
    for rule in spec.get("validations") or ():
        text = rule.get("expression", "")
        why = cannot_run(text) or ("no params here" if spec.get("paramKind") else "")
        if why or "namespaceObject" in text or "variables." in text or "authorizer" in text:
            options.warnings.append(f"admission policy {name} not evaluated by the lab: {text} ({why or 'variables'})")
            continue
        message = _fails(rule, values, spec)
        if message is not None:
            _deny(
                kind, own["name"], f"ValidatingAdmissionPolicy '{name}' with binding", rule, message, binding, options
            )


def _fails(rule: dict[str, Any], values: dict[str, Any], spec: Document) -> str | None:
    try:
        if evaluate(rule["expression"], values) is True:
            return None
    except CelError as error:
        return None if spec.get("failurePolicy") == "Ignore" else f"expression failed: {error}"
    return rule.get("message") or f"failed expression: {rule['expression']}"


def _deny(
    kind: Kind, name: str, who: str, rule: dict[str, Any], message: str, binding: Document, options: WriteOptions
) -> None:
    actions = binding.get("validationActions") or ["Deny"]
    text = f"{who} denied request: {message}"
    if "Warn" in actions:
        options.warnings.append(f"Validation failed for {text}")
    if "Deny" not in actions:
        return
    if rule.get("reason") in (None, "Invalid"):
        raise invalid(kind.group, kind.kind, name, [FieldError("FieldValueInvalid", "", text)])
    raise forbidden(kind.group, kind.plural, name, text)


def _matches(spec: Document, kind: Kind, operation: str) -> bool:
    def fits(have: str, wanted: list[str]) -> bool:
        return "*" in wanted or have in wanted

    constraints = spec.get("matchConstraints") or {}
    return any(
        fits(kind.group, rule.get("apiGroups") or [])
        and fits(kind.version, rule.get("apiVersions") or [])
        and fits(operation, rule.get("operations") or [])
        and fits(kind.plural, rule.get("resources") or [])
        for rule in constraints.get("resourceRules") or ()
    )
