"""A second evaluator of policy, written from reference/calico-l2.md section 7 alone, slow and literal.

It reads the raw documents and shares no code with bascule.policy or bascule.selectors: its own selector grammar, its
own idea of ports and nets. Where both agree over thousands of random clusters, both read section 7 the same way. It
expects valid documents; what is wrong with invalid ones is not its business.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

Doc = dict[str, Any]
NUMBERS = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
NS = "projectcalico.org/namespace"
STAGED = {"StagedNetworkPolicy": "NetworkPolicy", "StagedGlobalNetworkPolicy": "GlobalNetworkPolicy"}


@dataclass
class Thing:
    """Whatever has labels and addresses: an endpoint, or a network set with `nets`."""

    labels: dict[str, str]
    namespace: str
    account: str
    addresses: list[str]
    nets: list[str]
    ports: list[tuple[str, int, int]]


class Naive:
    """`endpoints` are bascule.policy.Endpoint objects, read by their fields only."""

    def __init__(self, documents: list[Doc], endpoints: list[Any]) -> None:
        self.docs: dict[tuple[str, str, str, str], Doc] = {}
        for doc in documents:
            meta = doc["metadata"]
            self.docs[doc["apiVersion"].split("/")[0], doc["kind"], meta.get("namespace", ""), meta["name"]] = doc
        self.things = [Thing(dict(e.labels), e.namespace, e.account, list(e.ips), [], list(e.ports)) for e in endpoints]
        for doc in self._kind("NetworkSet", "GlobalNetworkSet"):
            labels, namespace = dict(doc["metadata"].get("labels", {})), doc["metadata"].get("namespace", "")
            if namespace:
                labels[NS] = namespace
            self.things.append(Thing(labels, namespace, "", [], doc["spec"].get("nets", []), []))

    def _kind(self, *kinds: str) -> list[Doc]:
        return [doc for doc in self.docs.values() if doc["kind"] in kinds]

    def _labels_of(self, kind: str, namespace: str, name: str) -> dict[str, str]:
        doc = self.docs.get(("v1", kind, namespace, name))
        own = dict(doc["metadata"].get("labels", {})) if doc else {}
        return {**own, "projectcalico.org/name": name}

    # --- evaluation, 7.3

    def connection(self, flow: Any, pending: bool = False) -> str:
        """allow, deny or unknown for both ends together."""
        words = []
        for address, direction in ((flow.source, "Egress"), (flow.destination, "Ingress")):
            text = str(ipaddress.ip_address(address) if flow.version == 4 else ipaddress.IPv6Address(address))
            ends = [thing for thing in self.things if text in thing.addresses]
            if ends:
                words.append(self.verdict(ends[0], direction, flow, pending)[0])
        if "deny" in words:
            return "deny"
        return "unknown" if "unknown" in words or not words else "allow"

    def verdict(self, end: Thing, direction: str, flow: Any, pending: bool = False) -> tuple[str, str]:
        """(verdict, what decided)."""
        for tier in self._tiers():
            mine = [p for p in self._policies(tier["name"], pending) if self._applies(p, end, direction)]
            if not mine:
                continue
            outcome, decided = self._walk(mine, direction, flow)
            if outcome == "":
                outcome, decided = tier["action"], f"end of {tier['name']}"
            if outcome != "Pass":
                return {"Allow": "allow", "Deny": "deny", "unknown": "unknown"}[outcome], decided
        return ("allow", "profile") if end.namespace else ("deny", "no profile")

    def _walk(self, policies: list[Doc], direction: str, flow: Any) -> tuple[str, str]:
        for policy in policies:
            for index, rule in enumerate(policy["rules"][direction]):
                matched = self._rule(rule, policy, flow)
                if matched is None and rule["action"] != "Log":
                    return "unknown", ""
                if matched and rule["action"] != "Log":
                    return rule["action"], f"{policy['kind']}/{policy['name']}[{index}]"
        return "", ""

    def _tiers(self) -> list[Doc]:
        found = {
            "kube-admin": (1000.0, "Pass"), "default": (1e6, "Deny"), "kube-baseline": (1e7, "Pass"),
        }  # fmt: skip
        for doc in self._kind("Tier"):
            spec = doc.get("spec", {})
            order = spec.get("order")
            action = spec.get("defaultAction", "Deny")
            found.setdefault(doc["metadata"]["name"], (float("inf") if order is None else order, action))
        rows = [{"name": name, "order": order, "action": action} for name, (order, action) in found.items()]
        return sorted(rows, key=lambda row: (row["order"], row["name"]))

    # --- policies, 7.2

    def _policies(self, tier: str, pending: bool) -> list[Doc]:
        enforced: dict[tuple[str, str, str], Doc] = {}
        for doc in self._kind("NetworkPolicy", "GlobalNetworkPolicy"):
            policy = self._kube(doc) if doc["apiVersion"].startswith("networking") else self._calico(doc)
            enforced[policy["kind"], policy["ns"], policy["name"]] = policy
        for doc in self._kind(*STAGED, "StagedKubernetesNetworkPolicy") if pending else []:
            kube = doc["kind"] == "StagedKubernetesNetworkPolicy"
            policy = self._kube(doc) if kube else self._calico({**doc, "kind": STAGED[doc["kind"]]})
            key = policy["kind"], policy["ns"], policy["name"]
            action = doc["spec"].get("stagedAction", "Set")
            if action == "Set":
                enforced[key] = policy
            elif action == "Delete":
                enforced.pop(key, None)
        mine = [policy for policy in enforced.values() if policy["tier"] == tier and not policy["host"]]
        return sorted(mine, key=lambda p: (p["order"], p["name"], p["kind"], p["ns"]))

    def _calico(self, doc: Doc) -> Doc:
        spec, meta = doc.get("spec", {}), doc["metadata"]
        ingress, egress = spec.get("ingress") or [], spec.get("egress") or []
        types = spec.get("types") or (
            ["Ingress", "Egress"] if ingress and egress else ["Egress"] if egress else ["Ingress"]
        )
        order = spec.get("order")
        return {
            "kind": doc["kind"], "ns": meta.get("namespace", ""), "name": meta["name"], "types": types,
            "order": float("inf") if order is None else order, "tier": spec.get("tier", "default"),
            "selector": spec.get("selector", ""), "sa": spec.get("serviceAccountSelector", ""),
            "nss": spec.get("namespaceSelector", ""), "rules": {"Ingress": ingress, "Egress": egress},
            "host": bool(spec.get("doNotTrack") or spec.get("preDNAT")), "kube": False,
        }  # fmt: skip

    def _kube(self, doc: Doc) -> Doc:
        spec, meta = doc["spec"], doc["metadata"]
        rules: Doc = {"Ingress": [], "Egress": []}
        for direction, word in (("Ingress", "from"), ("Egress", "to")):
            for rule in spec.get(direction.lower()) or []:
                rules[direction].append({"action": "Allow", "kube": word, **rule})
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        return {
            "kind": "KubernetesNetworkPolicy", "ns": meta["namespace"], "name": "knp.default." + meta["name"],
            "order": 1000, "tier": "default", "types": types, "rules": rules, "host": False, "kube": True,
            "pods": spec.get("podSelector") or {},
        }  # fmt: skip

    def _applies(self, policy: Doc, end: Thing, direction: str) -> bool:
        if direction not in policy["types"]:
            return False
        if policy["ns"] and end.namespace != policy["ns"]:
            return False
        if policy["kube"]:
            return end.labels.get("projectcalico.org/orchestrator") == "k8s" and kube_matches(
                policy["pods"], end.labels
            )
        if policy["nss"] and not self._namespace_matches(policy["nss"], end):
            return False
        if policy["sa"] and not Selector(policy["sa"]).matches(self._account_labels(end)):
            return False
        return Selector(policy["selector"]).matches(end.labels)

    # --- rules, 7.2

    def _rule(self, rule: Doc, policy: Doc, flow: Any) -> bool | None:
        if "kube" in rule:
            return self._kube_rule(rule, policy, flow)
        if rule.get("ipVersion") and rule["ipVersion"] != flow.version:
            return False
        if "protocol" in rule and number(rule["protocol"]) != flow.protocol:
            return False
        if "notProtocol" in rule and number(rule["notProtocol"]) == flow.protocol:
            return False
        source, destination = rule.get("source", {}), rule.get("destination", {})
        if not self._entity(source, policy["ns"], flow, flow.source, flow.source_port):
            return False
        if not self._entity(destination, policy["ns"], flow, flow.destination, flow.destination_port):
            return False
        return self._icmp(rule, flow)

    def _icmp(self, rule: Doc, flow: Any) -> bool | None:
        wanted, unwanted = rule.get("icmp") or {}, rule.get("notICMP") or {}
        if "type" not in wanted and "type" not in unwanted:
            return True
        candidates = [flow.icmp] if flow.icmp else [(t, c) for t in range(256) for c in range(256)]
        results = {self._icmp_one(wanted, unwanted, *each) for each in candidates}
        if flow.icmp:
            return results == {True}
        return None if True in results else False

    def _icmp_one(self, wanted: Doc, unwanted: Doc, kind: int, code: int) -> bool:
        if "type" in wanted and (wanted["type"] != kind or wanted.get("code", code) != code):
            return False
        return not ("type" in unwanted and unwanted["type"] == kind and unwanted.get("code", code) == code)

    def _entity(self, entity: Doc, namespace: str, flow: Any, address: int, port: int) -> bool:
        if entity.get("nets") and not any(within(net, flow.version, address) for net in entity["nets"]):
            return False
        if any(within(net, flow.version, address) for net in entity.get("notNets", [])):
            return False
        there = self._things_at(flow.version, address)
        if not self._selected(entity, namespace, there):
            return False
        no = entity.get("notSelector")
        if no and any(Selector(no).matches(thing.labels) for thing in there):
            return False
        if entity.get("ports") and not any(self._port(p, flow, port, there) for p in entity["ports"]):
            return False
        return not any(self._port(p, flow, port, there) for p in entity.get("notPorts", []))

    def _selected(self, entity: Doc, namespace: str, there: list[Thing]) -> bool:
        selector, spaces = entity.get("selector"), entity.get("namespaceSelector")
        accounts = entity.get("serviceAccounts") or {}
        names, account = accounts.get("names") or [], accounts.get("selector")
        positive = bool(selector or names or account)
        same = bool(namespace and not spaces and (positive or entity.get("notSelector")))
        if not positive and not spaces and not same:
            return True
        for thing in there:
            if same and thing.labels.get(NS) != namespace:
                continue
            if spaces and not self._namespace_matches(spaces, thing):
                continue
            if selector and not Selector(selector).matches(thing.labels):
                continue
            if names and thing.account not in names:
                continue
            if account and not Selector(account).matches(self._account_labels(thing)):
                continue
            return True
        return False

    def _namespace_matches(self, text: str, thing: Thing) -> bool:
        """all() is any namespace, global() is none; other selectors see the namespace's labels."""
        labels = self._labels_of("Namespace", "", thing.namespace) if thing.namespace else {}
        return Selector(text, bool(thing.namespace), not thing.namespace).matches(labels)

    def _account_labels(self, thing: Thing) -> dict[str, str]:
        return self._labels_of("ServiceAccount", thing.namespace, thing.account) if thing.account else {}

    def _things_at(self, version: int, address: int) -> list[Thing]:
        text = str(ipaddress.IPv4Address(address) if version == 4 else ipaddress.IPv6Address(address))
        return [
            thing for thing in self.things
            if text in thing.addresses or any(within(net, version, address) for net in thing.nets)
        ]  # fmt: skip

    def _port(self, port: Any, flow: Any, value: int, there: list[Thing]) -> bool:
        if isinstance(port, int):
            return value == port
        if re.fullmatch(r"\d+", port):
            return value == int(port)
        if re.fullmatch(r"\d+:\d+", port):
            low, high = port.split(":")
            return int(low) <= value <= int(high)
        return any((port, flow.protocol, value) in thing.ports for thing in there)

    # --- Kubernetes' own

    def _kube_rule(self, rule: Doc, policy: Doc, flow: Any) -> bool:
        local = flow.destination if rule["kube"] == "from" else None
        peer = flow.source if rule["kube"] == "from" else flow.destination
        there = self._things_at(flow.version, local if local is not None else peer)
        ports = rule.get("ports") or []
        if ports and not any(self._kube_port(p, flow, there) for p in ports):
            return False
        peers = rule.get(rule["kube"]) or []
        return not peers or any(self._kube_peer(each, policy["ns"], flow.version, peer) for each in peers)

    def _kube_port(self, port: Doc, flow: Any, there: list[Thing]) -> bool:
        if number(port.get("protocol", "TCP")) != flow.protocol:
            return False
        if "port" not in port:
            return True
        if "endPort" in port:
            return bool(port["port"] <= flow.destination_port <= port["endPort"])
        return self._port(port["port"], flow, flow.destination_port, there)

    def _kube_peer(self, peer: Doc, namespace: str, version: int, address: int) -> bool:
        if "ipBlock" in peer:
            block = peer["ipBlock"]
            excepted = any(within(net, version, address) for net in block.get("except", []))
            return within(block["cidr"], version, address) and not excepted
        for thing in self._things_at(version, address):
            if thing.labels.get("projectcalico.org/orchestrator") != "k8s":
                continue
            if "namespaceSelector" in peer:
                labels = self._labels_of("Namespace", "", thing.namespace) if thing.namespace else {}
                spaces = peer["namespaceSelector"]
                if not spaces and not thing.namespace or not kube_matches(spaces, labels):
                    continue
            elif thing.namespace != namespace:
                continue
            if kube_matches(peer.get("podSelector") or {}, thing.labels):
                return True
        return False


def number(protocol: str | int) -> int:
    return protocol if isinstance(protocol, int) else NUMBERS[protocol]


def within(net: str, version: int, address: int) -> bool:
    network = ipaddress.ip_network(net, strict=False)
    return network.version == version and int(network[0]) <= address <= int(network[-1])


def kube_matches(selector: Doc, labels: dict[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions") or []:
        have, values = labels.get(each["key"]), each.get("values") or []
        result = {
            "In": have in values, "NotIn": have not in values, "Exists": have is not None, "DoesNotExist": have is None,
        }  # fmt: skip
        if not result[each["operator"]]:
            return False
    return True


class Selector:
    """The grammar of 7.1, evaluated while it is read. `all_` and `global_` say what all() and global() mean here."""

    _TOKEN = re.compile(
        r"""[ \t]*(&&|\|\||==|!=|[!(){},]|"[^"]*"|'[^']*'|[A-Za-z0-9_./-]+)"""
    )  # fmt: skip

    def __init__(self, text: str, all_: bool = True, global_: bool = True) -> None:
        self.tokens = [match[1] for match in self._TOKEN.finditer(text)]
        self.all_, self.global_ = all_, global_

    def matches(self, labels: dict[str, str]) -> bool:
        self.at, self.labels = 0, labels
        return self._or() if self.tokens else True

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]

    def _or(self) -> bool:
        result = self._and()
        while self._peek() == "||":
            self._take()
            right = self._and()
            result = result or right
        return result

    def _and(self) -> bool:
        result = self._not()
        while self._peek() == "&&":
            self._take()
            right = self._not()
            result = result and right
        return result

    def _not(self) -> bool:
        if self._peek() == "!":
            self._take()
            return not self._not()
        token = self._take()
        if token == "(":
            result = self._or()
            self._take()
            return result
        if self._peek() == "(":
            self._take()
            name = self._take() if token == "has" else ""
            self._take()
            return name in self.labels if token == "has" else {"all": self.all_, "global": self.global_}[token]
        return self._compare(token)

    def _compare(self, label: str) -> bool:
        have, operator = self.labels.get(label), self._take()
        negated = operator in ("not", "!=")
        if operator in ("not", "starts", "ends"):
            operator += self._take()
        if operator in ("in", "notin"):
            values = []
            while (token := self._take()) != "}":
                if token not in "{,":
                    values.append(token[1:-1])
            return (have in values) != negated
        want = self._take()[1:-1]
        if have is None:
            return negated
        tests = {
            "==": have == want, "!=": have != want, "contains": want in have,
            "startswith": have.startswith(want), "endswith": have.endswith(want),
        }  # fmt: skip
        return tests[operator]
