"""Random clusters for the policy tests: few labels, few addresses and few ports, so that rules and flows do meet."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bascule.policy.endpoints import Endpoint
from bascule.policy.flow import Flow

Doc = dict[str, Any]
KEYS, VALUES = ("app", "env", "x"), ("a", "b", "ab")
SPACES, ACCOUNTS, TIERS = ("red", "blue", "green"), ("default", "robot"), ("default", "first", "second", "last")
NAMED = (("web", 6, 80), ("web", 6, 81), ("web", 17, 80), ("dns", 17, 53), ("dns", 6, 53))
PORTS = (53, 79, 80, 81, 82, 443, 8080)
NETS = (
    "10.0.0.0/24",
    "10.0.0.0/30",
    "10.0.0.2/31",
    "10.0.0.5",
    "10.0.1.0/24",
    "0.0.0.0/0",
    "10.0.0.4/30",
    "192.0.2.0/24",
)
ADDRESSES = (*(f"10.0.0.{n}" for n in range(8)), "10.0.1.1", "10.0.1.9", "192.0.2.7", "203.0.113.1")
CALICO, KUBERNETES = "projectcalico.org/v3", "networking.k8s.io/v1"


@dataclass
class Case:
    documents: list[Doc]
    endpoints: list[Endpoint]
    flows: list[Flow]


class Cases:
    """Draws from one seeded source, so that a seed is a case for ever."""

    def __init__(self, source: random.Random) -> None:
        self.r = source

    def case(self, flows: int = 12) -> Case:
        documents = [*self._others()]
        documents += [self.policy(number) for number in range(self.r.randint(0, 9))]
        endpoints = self.endpoints()
        return Case(documents, endpoints, [self.flow(endpoints) for _ in range(flows)])

    def maybe(self, chance: float) -> bool:
        return self.r.random() < chance

    def labels(self) -> dict[str, str]:
        return {key: self.r.choice(VALUES) for key in KEYS if self.maybe(0.6)}

    def endpoints(self) -> list[Endpoint]:
        return [self.endpoint(n) for n in range(self.r.randint(1, 5))]

    def endpoint(self, number: int) -> Endpoint:
        namespace, account = self.r.choice(SPACES), self.r.choice(ACCOUNTS)
        own = {
            "projectcalico.org/namespace": namespace,
            "projectcalico.org/orchestrator": "k8s",
            "projectcalico.org/serviceaccount": account,
        }
        ports = tuple(port for port in NAMED if self.maybe(0.3))
        ips = (f"10.0.0.{number + 1}",) if self.maybe(0.95) else ()
        return Endpoint(namespace, f"p{number}", "net", f"vm{number}", "net-0", "dc", 110, ips,
                        {**self.labels(), **own}, account, ports)  # fmt: skip

    def flow(self, endpoints: list[Endpoint]) -> Flow:
        own = [ip for endpoint in endpoints for ip in endpoint.ips] or ["10.0.0.1"]
        ends = [self.r.choice(own), self.r.choice(own if self.maybe(0.5) else ADDRESSES)]
        self.r.shuffle(ends)
        protocol = self.r.choice((6, 6, 6, 17, 17, 1, 1, 132, 47))
        if protocol == 1:
            icmp = (self.r.choice((0, 3, 8)), self.r.choice((0, 1, 4))) if self.maybe(0.8) else None
            return Flow.of(*ends, 1, icmp=icmp)
        port, source_port = (self.r.choice(PORTS) if protocol != 47 else 0 for _ in range(2))
        return Flow.of(*ends, protocol, port, source_port)

    # --- selectors

    def selector(self, depth: int = 2) -> str:
        pick = self.r.random()
        if depth and pick < 0.25:
            joint = self.r.choice((" && ", " || "))
            text = joint.join(self.selector(depth - 1) for _ in range(2))
            return f"({text})" if self.maybe(0.5) else text
        if depth and pick < 0.35:
            return f"!{self.selector(depth - 1)}"
        key, value = self.r.choice(KEYS), self.r.choice(VALUES)
        return self.r.choice((
            f"{key} == '{value}'", f"{key} == '{value}'", f"{key} != '{value}'", f"has({key})", f"!has({key})",
            f"{key} in {{'a', 'ab'}}", f"{key} not in {{'{value}',}}", f"{key} starts with 'a'",
            f"{key} ends with 'b'", f"{key} contains 'b'", "all()",
        ))  # fmt: skip

    def spaces(self) -> str:
        return self.r.choice(
            ("all()", "global()", f"projectcalico.org/name == '{self.r.choice(SPACES)}'", self.selector(1))
        )

    # --- documents

    def _others(self) -> list[Doc]:
        found: list[Doc] = [_doc("v1", "Namespace", name, labels=self.labels()) for name in SPACES if self.maybe(0.8)]
        found += [
            _doc("v1", "ServiceAccount", name, space, labels=self.labels())
            for space in SPACES for name in ACCOUNTS if self.maybe(0.5)
        ]  # fmt: skip
        for name in TIERS[1:]:
            spec: Doc = {} if self.maybe(0.3) else {"order": self.r.choice((1, 2, 1000, 2e6, -1.5))}
            if self.maybe(0.6):
                spec["defaultAction"] = self.r.choice(("Pass", "Deny"))
            found.append(_doc(CALICO, "Tier", name, spec=spec))
        for number in range(self.r.randint(0, 2)):
            nets = self.r.sample(NETS, self.r.randint(0, 2))
            if self.maybe(0.5):
                found.append(_doc(CALICO, "GlobalNetworkSet", f"s{number}", spec={"nets": nets}, labels=self.labels()))
            else:
                space = self.r.choice(SPACES)
                found.append(_doc(CALICO, "NetworkSet", f"s{number}", space, {"nets": nets}, self.labels()))
        return found

    def policy(self, number: int) -> Doc:
        kind = self.r.choice((
            "NetworkPolicy", "NetworkPolicy", "GlobalNetworkPolicy", "GlobalNetworkPolicy", "Kubernetes", "Kubernetes",
            "StagedNetworkPolicy", "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy",
        ))  # fmt: skip
        name = f"p{number}" if self.maybe(0.6) else self.r.choice(("p0", "p1", "p2"))
        if "Kubernetes" in kind:
            spec = self.kubernetes()
            if kind == "Kubernetes":
                return _doc(KUBERNETES, "NetworkPolicy", name, self.r.choice(SPACES), spec)
        else:
            spec = self.calico("Global" in kind)
        if kind.startswith("Staged") and self.maybe(0.7):
            spec["stagedAction"] = self.r.choice(("Set", "Set", "Delete", "Learn", "Ignore"))
        return _doc(CALICO, kind, name, "" if "Global" in kind else self.r.choice(SPACES), spec)

    def calico(self, everywhere: bool) -> Doc:
        spec: Doc = {}
        if self.maybe(0.7):
            spec["order"] = self.r.choice((1, 1, 1, 2, 1000, 0.5))
        if self.maybe(0.6):
            spec["tier"] = self.r.choice(TIERS)
        if self.maybe(0.5):
            spec["selector"] = self.selector()
        if self.maybe(0.15):
            spec["serviceAccountSelector"] = self.selector(1)
        if everywhere and self.maybe(0.3):
            spec["namespaceSelector"] = self.r.choice(("all()", self.selector(1)))
        if everywhere and self.maybe(0.08):
            spec[self.r.choice(("doNotTrack", "preDNAT"))] = True
        for word in ("ingress", "egress"):
            if self.maybe(0.65):
                spec[word] = [self.rule() for _ in range(self.r.randint(0, 3))]
        if self.maybe(0.3):
            spec["types"] = self.r.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        return spec

    def rule(self) -> Doc:
        rule: Doc = {"action": self.r.choice(("Allow", "Allow", "Deny", "Deny", "Pass", "Log"))}
        if self.maybe(0.06):
            rule["ipVersion"] = self.r.choice((4, 4, 6))
        kind = self.r.random()
        if kind < 0.45:
            rule["protocol"] = self.r.choice(("TCP", "TCP", "UDP", "SCTP", 6))
        elif kind < 0.6:
            rule["protocol"] = "ICMP"
            self._icmp(rule)
        if self.maybe(0.1):
            rule["notProtocol"] = self.r.choice(("TCP", "UDP", 47))
        with_ports = rule.get("protocol") in ("TCP", "UDP", "SCTP", 6)
        for side, chance in (("source", 0.2), ("destination", 0.6)):
            if self.maybe(0.7):
                rule[side] = self.entity(chance if with_ports else 0, rule.get("ipVersion") == 6)
        return rule

    def _icmp(self, rule: Doc) -> None:
        for word in ("icmp", "notICMP"):
            if self.maybe(0.5):
                rule[word] = {"type": self.r.choice((0, 3, 8))}
                if self.maybe(0.5):
                    rule[word]["code"] = self.r.choice((0, 1))

    def entity(self, ports: float, six: bool) -> Doc:
        entity: Doc = {}
        if not six:
            if self.maybe(0.2):
                entity["nets"] = self.r.sample(NETS, self.r.randint(0, 3))
            if self.maybe(0.12):
                entity["notNets"] = self.r.sample(NETS, self.r.randint(0, 2))
        if self.maybe(0.35):
            entity["selector"] = self.selector()
        if self.maybe(0.12):
            entity["notSelector"] = self.selector(1)
        if self.maybe(0.2):
            entity["namespaceSelector"] = self.spaces()
        if self.maybe(0.12):
            entity["serviceAccounts"] = {}
            if self.maybe(0.6):
                entity["serviceAccounts"]["names"] = self.r.sample(ACCOUNTS, self.r.randint(0, 2))
            if self.maybe(0.4):
                entity["serviceAccounts"]["selector"] = self.selector(1)
        if self.maybe(ports):
            entity["ports"] = [self.port() for _ in range(self.r.randint(0, 3))]
        if self.maybe(ports / 3):
            entity["notPorts"] = [self.port() for _ in range(self.r.randint(0, 3))]
        return entity

    def port(self) -> int | str:
        return self.r.choice((self.r.choice(PORTS), "80:82", "1:79", "443", "web", "dns", "none", "81:65535"))

    # --- Kubernetes

    def kubernetes(self) -> Doc:
        spec: Doc = {"podSelector": self.pods()}
        for word, peers in (("ingress", "from"), ("egress", "to")):
            if self.maybe(0.6):
                spec[word] = [self._kubernetes_rule(peers) for _ in range(self.r.randint(0, 2))]
        if self.maybe(0.4):
            spec["policyTypes"] = self.r.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
        return spec

    def _kubernetes_rule(self, word: str) -> Doc:
        rule: Doc = {}
        if self.maybe(0.7):
            rule[word] = [self._peer() for _ in range(self.r.randint(0, 2))]
        if self.maybe(0.6):
            rule["ports"] = [self._kubernetes_port() for _ in range(self.r.randint(0, 2))]
        return rule

    def _kubernetes_port(self) -> Doc:
        port: Doc = {}
        if self.maybe(0.6):
            port["protocol"] = self.r.choice(("TCP", "UDP", "SCTP"))
        if self.maybe(0.8):
            port["port"] = self.r.choice((*PORTS, "web", "dns"))
            if isinstance(port["port"], int) and self.maybe(0.3):
                port["endPort"] = port["port"] + self.r.randint(0, 400)
        return port

    def _peer(self) -> Doc:
        if self.maybe(0.35):
            block: Doc = {"cidr": self.r.choice([net for net in NETS if "/" in net])}
            if self.maybe(0.5):
                block["except"] = [self.r.choice([net for net in NETS if "/" in net])]
            return {"ipBlock": block}
        peer: Doc = {}
        if self.maybe(0.6):
            peer["podSelector"] = self.pods()
        if not peer or self.maybe(0.4):
            peer["namespaceSelector"] = self.pods()
        return peer

    def pods(self) -> Doc:
        selector: Doc = {}
        if self.maybe(0.4):
            selector["matchLabels"] = {self.r.choice(KEYS): self.r.choice(VALUES)}
        if self.maybe(0.3):
            key = self.r.choice(KEYS)
            selector["matchExpressions"] = [self.r.choice((
                {"key": key, "operator": "In", "values": ["a", "b"]},
                {"key": key, "operator": "NotIn", "values": ["a"]},
                {"key": key, "operator": "Exists"}, {"key": key, "operator": "DoesNotExist"},
            ))]  # fmt: skip
        return selector


def _doc(version: str, kind: str, name: str, namespace: str = "", spec: Doc | None = None, labels: Any = None) -> Doc:
    meta: Doc = {"name": name}
    if namespace:
        meta["namespace"] = namespace
    if labels:
        meta["labels"] = labels
    document = {"apiVersion": version, "kind": kind, "metadata": meta}
    return document if spec is None else {**document, "spec": spec}
