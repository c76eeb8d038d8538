"""Impersonate-User and Impersonate-Group: acting as somebody else, for those whom RBAC lets (`kubectl --as`)."""

from __future__ import annotations

from collections.abc import Mapping

from bascule_lab.apiserver.authn import AUTHENTICATED, User, account_user
from bascule_lab.apiserver.authz import Access, Authorizer, refusal
from bascule_lab.apiserver.status import bad_request

_USER, _GROUP = "Impersonate-User", "Impersonate-Group"
_ACCOUNT = "system:serviceaccount:"


def acting_user(authorizer: Authorizer, user: User, headers: Mapping[str, str]) -> User:
    """The user whom a request is answered as; 403 without the right, 400 for a group without a user."""
    name = headers.get(_USER, "")
    groups = _all(headers, _GROUP)
    if not name:
        if groups:
            raise bad_request(f"requested {groups} without impersonating a user")
        return user
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        namespace, account = name.removeprefix(_ACCOUNT).split(":")
        _check(authorizer, user, Access("impersonate", "", "serviceaccounts", "", namespace, account))
        acting = account_user(namespace, account)
        groups = groups or list(acting.groups)
    else:
        _check(authorizer, user, Access("impersonate", "", "users", name=name))
    for group in groups:
        if not name.startswith(_ACCOUNT):
            _check(authorizer, user, Access("impersonate", "", "groups", name=group))
    return User(name, tuple(dict.fromkeys((*groups, AUTHENTICATED))))


def _check(authorizer: Authorizer, user: User, access: Access) -> None:
    if not authorizer.allowed(user, access):
        raise refusal(user, access)


def _all(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header that may be repeated; a plain mapping holds one."""
    many = getattr(headers, "getall", None)
    if many is not None:
        return [str(value) for value in many(name, [])]
    return [headers[name]] if name in headers else []
