"""Names of a flow's ends: scoped to Network and VLAN, gateways from routes, raw when unknown."""

from bascule.flows.names import Gateway, Names, PortId, gateways_of
from bascule.flows.surroundings import surroundings_of

WEB = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11")
DB = PortId("node2", 9, "db-1", "vms", "net-0", "dc1", 120, "52:54:00:00:78:01", "10.120.0.11")
TWIN = PortId("node3", 5, "twin", "vms", "net-0", "dc1", 120, WEB.mac, WEB.ip)
GATEWAY = Gateway("dc1", 110, "10.110.0.1")


def test_peer_by_address_then_by_mac_then_raw():
    names = Names([WEB, DB], [GATEWAY])
    assert names.peer("dc1", 110, "10.110.0.11", "aa:aa:aa:aa:aa:aa") == "web-1"
    assert names.peer("dc1", 110, "", WEB.mac) == "web-1"
    assert names.peer("dc1", 110, "10.110.0.1", "52:54:00:00:00:fe") == "gateway dc1/110"
    assert names.peer("dc1", 110, "192.0.2.9", WEB.mac) == "192.0.2.9"
    assert names.peer("dc1", 110, "", "ff:ff:ff:ff:ff:ff") == "ff:ff:ff:ff:ff:ff"


def test_one_address_in_two_vlans_names_each_in_its_own():
    names = Names([WEB, TWIN])
    assert names.peer("dc1", 110, WEB.ip, "") == "web-1"
    assert names.peer("dc1", 120, WEB.ip, "") == "twin"
    # From a third VLAN the address is ambiguous, so it stays an address.
    assert names.peer("dc1", 100, WEB.ip, "") == WEB.ip


def test_across_vlans_a_unique_address_names_its_vm():
    assert Names([WEB, DB]).peer("dc1", 110, DB.ip, "router") == "db-1"


def test_unknown_port_keeps_its_number():
    assert Names([WEB]).port("node1", 99) == PortId("node1", 99)
    assert Names([WEB]).port("node1", 7) is WEB


def test_gateways_from_a_network_document():
    def route(hop: str) -> dict[str, object]:
        return {"destination": "0.0.0.0/0", "action": {"nextHop": hop}}

    document = {
        "metadata": {"name": "dc1"},
        "spec": {
            "l2Bridge": {
                "hostConfig": [],
                "vlans": [
                    {"vlan": {"id": 110}, "subnets": [{"cidr": "10.110.0.0/24", "routes": [route("10.110.0.1")]}]},
                    {"vlan": {"range": {"start": 200, "end": 201}}, "subnets": [{"routes": [route("10.2.0.1")]}]},
                    {"vlan": {"id": 9}, "subnets": [{"routes": [route("not-an-address"), route("fd00::1")]}]},
                    {"vlan": "nonsense"},
                ],
            }
        },
    }
    expected = [GATEWAY, Gateway("dc1", 200, "10.2.0.1"), Gateway("dc1", 201, "10.2.0.1")]
    assert gateways_of([document, {}, {"spec": {"vrf": {}}}]) == expected


SUBNETS = [{"vlan": {"id": 110}, "subnets": [{"cidr": "10.110.0.0/24"}]}]
DOCUMENT = {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"vlans": SUBNETS}}}
WIDE = {"kind": "GlobalNetworkSet", "metadata": {"name": "wide"}, "spec": {"nets": ["198.51.0.0/16"]}}
NARROW = {
    "kind": "NetworkSet",
    "metadata": {"name": "narrow", "namespace": "vms", "labels": {"who": "partner"}},
    "spec": {"nets": ["198.51.100.0/24", "2001:db8::/32"]},
}


def test_the_narrowest_network_set_names_an_address():
    names = Names([WEB], around=surroundings_of([DOCUMENT], [WIDE, NARROW]))
    found = names.who("dc1", 110, "198.51.100.10", "02:00:00:00:00:01")
    assert (found.name, found.kind, found.namespace, dict(found.labels)) == ("narrow", "set", "vms", {"who": "partner"})
    assert names.who("dc1", 110, "198.51.7.1", "").name == "wide"


def test_what_has_no_name_says_why():
    names = Names([WEB, DB], around=surroundings_of([DOCUMENT]))
    told = {ip: names.who("dc1", 110, ip, "02:00:00:00:00:01") for ip in ("10.110.0.77", "8.8.8.8", "224.0.0.5")}
    assert [(who.name, who.kind) for who in told.values()] == [
        ("10.110.0.77", "address"),
        ("8.8.8.8", "outside"),
        ("224.0.0.5", "group"),
    ]
    assert "in 10.110.0.0/24 of dc1/110, where no VM has it" in told["10.110.0.77"].why
    assert "an outside host" in told["8.8.8.8"].why
    assert all(not who.known for who in told.values())
    assert names.who("dc1", 110, "", "02:00:00:00:00:09").kind == "mac"
    assert "our agents ask trunks" in names.who("dc1", 110, "", "02:b5:25:c2:31:6e").why
    assert Names().who("dc1", 110, "8.8.8.8", "").why == "no VM, gateway or NetworkSet known here has it"


def test_an_address_with_two_owners_elsewhere_says_so():
    names = Names([DB, TWIN, PortId("n", 4, "third", "vms", "net-0", "dc1", 100, "02:00:00:00:00:33", DB.ip)])
    assert "2 ends on other VLANs" in names.who("dc1", 110, DB.ip, "").why


def test_a_vm_brings_its_namespace_and_labels():
    port = PortId("n", 4, "web-9", "prod", mac="02:00:00:00:00:33", ip="10.0.0.9", labels=(("app", "web"),))
    found = Names([port]).who("", 0, "10.0.0.9", "")
    assert (found.kind, found.namespace, dict(found.labels), found.known) == ("vm", "prod", {"app": "web"}, True)
