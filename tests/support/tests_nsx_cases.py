"""Random NSX documents, and their meaning evaluated on the JSON itself by the words of NSX's documentation.

The evaluator shares nothing with Bascule: it asks the document again for every packet.
"""

from __future__ import annotations

import ipaddress
import random
from typing import Any

Doc = dict[str, Any]
GROUP = "/infra/domains/default/groups/"
TAGS = [("tier", "web"), ("tier", "db"), ("env", "prod"), ("env", "test"), ("", "web"), ("", "odd tag!")]
AND = {"resource_type": "ConjunctionOperator", "conjunction_operator": "AND"}
OR = {"resource_type": "ConjunctionOperator", "conjunction_operator": "OR"}
PACKETS = [(6, 0, 80), (6, 0, 443), (6, 53, 81), (17, 0, 53), (17, 53, 80), (1, 8, 0), (1, 3, 1), (47, 0, 0)]
OUTSIDE = ["198.51.100.7", "10.0.9.9", "10.0.0.250"]


class Documents:
    """Draws documents of a few VMs, groups, services and policies, so that rules and packets do meet."""

    def __init__(self, seed: object) -> None:
        self.random = random.Random(str(seed))

    def draw(self) -> Doc:
        groups = [self._group(at) for at in range(6)]
        policies = [self._policy(at) for at in range(6)]
        return {
            "virtual_machines": [self._vm(at) for at in range(8)],
            "virtual_network_interface": [self._vni(at) for at in range(8)],
            "segments": [],
            "services": [self._service(at) for at in range(4)],
            "domains": [{"resources": {"groups": groups, "security_policies": [*policies, _last()]}}],
        }

    def _vm(self, at: int) -> Doc:
        tags = self.random.sample(TAGS, self.random.randint(0, 3))
        return {
            "external_id": f"id-{at}",
            "display_name": f"vm-{at}",
            "tags": [{"scope": scope, "tag": tag} for scope, tag in tags],
            "guest_info": {"os_name": self.random.choice(["Debian 12", "Windows"])},
        }

    def _vni(self, at: int) -> Doc:
        return {"owner_vm_id": f"id-{at}", "ip_address_info": [{"ip_addresses": [f"10.0.{at % 2}.{at + 1}"]}]}

    def _group(self, at: int) -> Doc:
        kind = self.random.randint(0, 5)
        expression: list[Doc]
        if kind == 0:
            nets = ["10.0.0.0/29", "10.0.1.2-10.0.1.5", "198.51.100.7"]
            expression = [{"resource_type": "IPAddressExpression", "ip_addresses": self.random.sample(nets, 2)}]
        elif kind == 1 and at:
            path = f"{GROUP}{self.random.randrange(at)}"
            expression = [{"resource_type": "PathExpression", "paths": [path]}, OR, self._condition()]
        elif kind == 2:
            inner = [self._condition(), self.random.choice([AND, OR]), self._condition()]
            expression = [{"resource_type": "NestedExpression", "expressions": inner}]
        else:
            expression = [self._condition()]
        return {"id": str(at), "path": f"{GROUP}{at}", "display_name": f"Group {at}", "expression": expression}

    def _condition(self) -> Doc:
        kind = self.random.randint(0, 4)
        base = {"resource_type": "Condition", "member_type": "VirtualMachine"}
        if kind == 0:
            operator = self.random.choice(["EQUALS", "STARTSWITH", "ENDSWITH", "NOTEQUALS"])
            return {**base, "key": "Name", "operator": operator, "value": self.random.choice(["vm-3", "vm-", "4"])}
        if kind == 1:
            return {**base, "key": "OSName", "operator": "CONTAINS", "value": "Debian"}
        scope, tag = self.random.choice(TAGS)
        value = self.random.choice([tag, f"{scope}|{tag}"])
        return {**base, "key": "Tag", "operator": self.random.choice(["EQUALS", "EQUALS", "NOTEQUALS"]), "value": value}

    def _service(self, at: int) -> Doc:
        entries = [
            {"resource_type": "L4PortSetServiceEntry", "l4_protocol": "TCP", "destination_ports": ["80-81", "443"]},
            {
                "resource_type": "L4PortSetServiceEntry",
                "l4_protocol": "UDP",
                "destination_ports": [],
                "source_ports": ["53"],
            },
            {"resource_type": "ICMPTypeServiceEntry", "protocol": "ICMPv4", "icmp_type": 8},
            {"resource_type": "IPProtocolServiceEntry", "protocol_number": 47},
        ]
        chosen = self.random.sample(entries, self.random.randint(1, 2))
        if at:
            nested = f"/infra/services/{self.random.randrange(at)}"
            chosen.append({"resource_type": "NestedServiceServiceEntry", "nested_service_path": nested})
        return {"id": str(at), "path": f"/infra/services/{at}", "service_entries": chosen}

    def _policy(self, at: int) -> Doc:
        category = self.random.choice(["Emergency", "Infrastructure", "Environment", "Application"])
        scope = ["ANY"] if self.random.random() < 0.8 else [f"{GROUP}{self.random.randrange(6)}"]
        rules = [self._rule(f"{at}-{n}", n, category) for n in range(self.random.randint(1, 4))]
        self.random.shuffle(rules)
        return {
            "id": f"p{at}",
            "display_name": f"Policy {at}",
            "category": category,
            "scope": scope,
            "sequence_number": at + 1,
            "rules": rules,
        }

    def _rule(self, name: str, number: int, category: str) -> Doc:
        actions = ["ALLOW", "DROP", "REJECT"] + (["JUMP_TO_APPLICATION"] * 2 if category == "Environment" else [])
        services = ["ANY"] if self.random.random() < 0.4 else [f"/infra/services/{self.random.randrange(4)}"]
        return {
            "id": name,
            "display_name": f"Rule {name}",
            "sequence_number": number + 1,
            "services": services,
            "action": self.random.choice(actions),
            "direction": self.random.choice(["IN", "OUT", "IN_OUT", "IN_OUT"]),
            "source_groups": self._peers(),
            "destination_groups": self._peers(),
            "sources_excluded": self.random.random() < 0.15,
            "destinations_excluded": self.random.random() < 0.15,
            "scope": ["ANY"] if self.random.random() < 0.7 else [f"{GROUP}{self.random.randrange(6)}"],
            "disabled": self.random.random() < 0.1,
            "logged": self.random.random() < 0.2,
        }

    def _peers(self) -> list[str]:
        if self.random.random() < 0.3:
            return ["ANY"]
        chosen = [f"{GROUP}{self.random.randrange(6)}" for _ in range(self.random.randint(0, 2))]
        return chosen + (["10.0.0.1-10.0.0.4"] if not chosen or self.random.random() < 0.2 else [])


def _last() -> Doc:
    rule = {"id": "2", "action": "DROP", "source_groups": ["ANY"], "destination_groups": ["ANY"], "services": ["ANY"]}
    return {"id": "default-layer3-section", "category": "Application", "sequence_number": 2147483647, "rules": [rule]}


class Naive:
    """Judges packets by the document."""

    def __init__(self, document: Doc) -> None:
        resources = document["domains"][0]["resources"]
        self.groups = {group["path"]: group for group in resources["groups"]}
        self.services = {service["path"]: service for service in document["services"]}
        self.vms = document["virtual_machines"]
        self.address = {
            each["owner_vm_id"]: each["ip_address_info"][0]["ip_addresses"][0]
            for each in document["virtual_network_interface"]
        }
        self.policies = resources["security_policies"]

    def connection(self, source: str, destination: str, packet: tuple[int, int, int]) -> str:
        """allow or deny by every end that is a VM; allow where none is."""
        for vm in self.vms:
            for end, direction in ((source, "OUT"), (destination, "IN")):
                if self.address[vm["external_id"]] == end and not self._at(vm, direction, source, destination, packet):
                    return "deny"
        return "allow"

    def _at(self, vm: Doc, direction: str, source: str, destination: str, packet: tuple[int, int, int]) -> bool:
        categories = ["Emergency", "Infrastructure", "Environment", "Application"]
        at = 0
        while at < len(categories):
            action = self._category(categories[at], vm, direction, source, destination, packet)
            if action in ("ALLOW", "DROP", "REJECT"):
                return action == "ALLOW"
            at += 1
        return True

    def _category(self, category: str, vm: Doc, direction: str, source: str, destination: str, packet: Any) -> str:
        policies = [policy for policy in self.policies if policy["category"] == category]
        for policy in sorted(policies, key=lambda policy: policy["sequence_number"]):
            for rule in sorted(policy["rules"], key=lambda rule: rule.get("sequence_number", 0)):
                scope = policy.get("scope", ["ANY"])
                scope = rule.get("scope", ["ANY"]) if scope == ["ANY"] else scope
                if rule.get("disabled") or direction not in rule.get("direction", "IN_OUT"):
                    continue
                if scope != ["ANY"] and not any(self._vm_in(vm, self.groups[path]) for path in scope):
                    continue
                ends = self._side(rule, "source", source) and self._side(rule, "destination", destination)
                services = rule["services"]
                if ends and (services == ["ANY"] or any(self._serves(path, packet) for path in services)):
                    return str(rule["action"])
        return ""

    def _side(self, rule: Doc, side: str, address: str) -> bool:
        listed = rule[f"{side}_groups"]
        found = listed == ["ANY"] or any(
            self._in_group(self.groups[each], address) if each in self.groups else _in_net(each, address)
            for each in listed
        )
        return found != rule.get(f"{side}s_excluded", False)

    def _in_group(self, group: Doc, address: str) -> bool:
        if any(self.address[vm["external_id"]] == address and self._vm_in(vm, group) for vm in self.vms):
            return True
        return self._nets(group["expression"], address)

    def _nets(self, expressions: list[Doc], address: str) -> bool:
        for each in expressions:
            if any(_in_net(net, address) for net in each.get("ip_addresses", [])):
                return True
            if any(self._in_group(self.groups[path], address) for path in each.get("paths", [])):
                return True
        return False

    def _vm_in(self, vm: Doc, group: Doc) -> bool:
        return self._holds(vm, group["expression"])

    def _holds(self, vm: Doc, expressions: list[Doc]) -> bool:
        found = self._one(vm, expressions[0])
        for conjunction, each in zip(expressions[1::2], expressions[2::2], strict=True):
            word = conjunction["conjunction_operator"]
            found = (found and self._one(vm, each)) if word == "AND" else (found or self._one(vm, each))
        return found

    def _one(self, vm: Doc, each: Doc) -> bool:
        kind = each["resource_type"]
        if kind == "NestedExpression":
            return self._holds(vm, each["expressions"])
        if kind == "PathExpression":
            return any(self._vm_in(vm, self.groups[path]) for path in each["paths"])
        if kind == "IPAddressExpression":
            return False
        value = each["value"]
        if each["key"] == "Tag":
            scope, bar, tag = value.partition("|")
            has = any(
                one["tag"] == (tag if bar else value) and (not bar or one["scope"] == scope) for one in vm["tags"]
            )
            return has != (each["operator"] == "NOTEQUALS")
        text = vm["display_name"] if each["key"] == "Name" else vm["guest_info"]["os_name"]
        answers = {
            "EQUALS": text == value,
            "NOTEQUALS": text != value,
            "CONTAINS": value in text,
            "STARTSWITH": text.startswith(value),
            "ENDSWITH": text.endswith(value),
        }
        return answers[each["operator"]]

    def _serves(self, path: str, packet: tuple[int, int, int]) -> bool:
        protocol, low, high = packet
        for entry in self.services[path]["service_entries"]:
            kind = entry["resource_type"]
            if kind == "NestedServiceServiceEntry" and self._serves(entry["nested_service_path"], packet):
                return True
            if kind == "ICMPTypeServiceEntry" and protocol == 1 and low == entry["icmp_type"]:
                return True
            if kind == "IPProtocolServiceEntry" and protocol == entry["protocol_number"]:
                return True
            if kind == "L4PortSetServiceEntry" and protocol == {"TCP": 6, "UDP": 17}[entry["l4_protocol"]]:
                sources, destinations = entry.get("source_ports", []), entry.get("destination_ports", [])
                if (not sources or _in_ports(sources, low)) and (not destinations or _in_ports(destinations, high)):
                    return True
        return False


def _in_net(net: str, address: str) -> bool:
    if net.startswith("/"):
        return False
    one = ipaddress.ip_address(address)
    if "-" in net:
        first, last = (ipaddress.ip_address(part) for part in net.split("-"))
        return bool(first <= one <= last)  # type: ignore[operator]
    return one in ipaddress.ip_network(net)


def _in_ports(ports: list[str], port: int) -> bool:
    return any(int(each.partition("-")[0]) <= port <= int(each.rpartition("-")[2]) for each in ports)
