"""What CDI and storage add to the API: claims that are protected, and tokens that open nothing but one claim."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bascule_lab.apiserver import jwt
from bascule_lab.apiserver.uploadtokens import UploadTokens

CLAIMS = "/api/v1/namespaces/vms/persistentvolumeclaims"
TOKENS = "/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/vms/uploadtokenrequests"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def claim(**spec: Any) -> dict[str, Any]:
    whole = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}, "spec": whole}


def asked(name: Any = "a") -> dict[str, Any]:
    kind = {"apiVersion": "upload.cdi.kubevirt.io/v1beta1", "kind": "UploadTokenRequest"}
    return {**kind, "metadata": {"name": "t"}, "spec": {"pvcName": name}}


async def test_a_claim_is_pending_and_protected_until_its_finalizer_goes(api):
    admin = api.client()
    made = (await admin("POST", CLAIMS, claim())).body
    assert made["status"] == {"phase": "Pending"}
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert (await admin("DELETE", f"{CLAIMS}/a")).code == 200
    assert "deletionTimestamp" in (await admin("GET", f"{CLAIMS}/a")).body["metadata"]
    await admin.merge(f"{CLAIMS}/a", {"metadata": {"finalizers": None}})
    assert (await admin("GET", f"{CLAIMS}/a")).code == 404


async def test_a_claim_without_size_or_access_mode_is_invalid(api):
    admin = api.client()
    for spec, field in (({"resources": {}}, "spec.resources[storage]"), ({"accessModes": []}, "spec.accessModes")):
        refused = await admin("POST", CLAIMS, claim(**spec))
        assert refused.code == 422 and refused.body["details"]["causes"][0]["field"] == field


async def test_kubectl_shows_claims_as_it_does_elsewhere(api):
    admin = api.client()
    await admin("POST", CLAIMS, claim(storageClassName="lab"))
    status = {"phase": "Bound", "accessModes": ["ReadWriteMany", "ReadOnlyMany"], "capacity": {"storage": "1Gi"}}
    await admin.merge(f"{CLAIMS}/a/status", {"status": status})
    admin._headers["Accept"] = TABLE
    table = (await admin("GET", CLAIMS)).body
    names = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(names, table["rows"][0]["cells"], strict=True))
    shown = [row[name] for name in ("Status", "Capacity", "Access Modes", "StorageClass")]
    assert shown == ["Bound", "1Gi", "RWX,ROX", "lab"]


async def test_an_upload_token_opens_its_claim_and_nothing_else(api):
    given = await api.client("operator")("POST", TOKENS, asked())
    assert given.code == 200, given.body
    token = given.body["status"]["token"]
    reader = UploadTokens(api.server.paths.account_key.read_bytes())
    leave = reader.leave(token)
    assert leave is not None and (leave.namespace, leave.claim) == ("vms", "a")
    assert reader.leave(token[:-2]) is None and reader.leave("") is None
    assert UploadTokens(b"other").leave(token) is None
    stranger = api.client("")
    stranger._headers = {"Authorization": f"Bearer {token}"}
    assert (await stranger("GET", CLAIMS)).code == 401, "it is no token of the API"
    assert (await api.client()("GET", TOKENS)).code == 405, "requests are answered, not kept"


async def test_who_may_not_ask_gets_none_and_a_request_without_a_claim_is_invalid(api):
    assert (await api.client("viewer")("POST", TOKENS, asked())).code == 403
    assert (await api.client("")("POST", TOKENS, asked())).code == 401
    for bad in (None, 7, {}):
        assert (await api.client()("POST", TOKENS, asked(bad))).code == 422
    assert (await api.client()("POST", TOKENS, {"spec": []})).code == 422


async def test_a_token_ends_after_five_minutes(api, monkeypatch: pytest.MonkeyPatch):
    token = (await api.client()("POST", TOKENS, asked())).body["status"]["token"]
    reader = UploadTokens(api.server.paths.account_key.read_bytes())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 305)
    assert reader.leave(token) is not None, "CDI gives ten seconds of leeway"
    monkeypatch.setattr(time, "time", lambda: now + 312)
    assert reader.leave(token) is None


def test_what_is_no_token_is_none():
    for text in ("", ".", "..", "a.b.c", "é.é.é", jwt.seal({"a": 1}, b"k")[:-1]):
        assert jwt.unseal(text, b"k") is None
    assert jwt.unseal(jwt.seal({"a": 1}, b"k"), b"k") == {"a": 1}
