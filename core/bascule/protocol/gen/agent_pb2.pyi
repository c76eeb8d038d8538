from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeReport(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class Clock(_message.Message):
    __slots__ = ("offset_ns", "error_ns", "source")
    OFFSET_NS_FIELD_NUMBER: _ClassVar[int]
    ERROR_NS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    offset_ns: int
    error_ns: int
    source: str
    def __init__(self, offset_ns: _Optional[int] = ..., error_ns: _Optional[int] = ..., source: _Optional[str] = ...) -> None: ...

class FlowsRequest(_message.Message):
    __slots__ = ("history_seconds", "follow", "filter", "since_ns")
    HISTORY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    history_seconds: float
    follow: bool
    filter: str
    since_ns: int
    def __init__(self, history_seconds: _Optional[float] = ..., follow: _Optional[bool] = ..., filter: _Optional[str] = ..., since_ns: _Optional[int] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("ifindex", "vm", "namespace", "nic", "network", "vlan", "mac", "ip", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IFINDEX_FIELD_NUMBER: _ClassVar[int]
    VM_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NIC_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VLAN_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ifindex: int
    vm: str
    namespace: str
    nic: str
    network: str
    vlan: int
    mac: str
    ip: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, ifindex: _Optional[int] = ..., vm: _Optional[str] = ..., namespace: _Optional[str] = ..., nic: _Optional[str] = ..., network: _Optional[str] = ..., vlan: _Optional[int] = ..., mac: _Optional[str] = ..., ip: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Ledger(_message.Message):
    __slots__ = ("seen", "sent", "lost", "filtered")
    class LostEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SEEN_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    seen: int
    sent: int
    lost: _containers.ScalarMap[str, int]
    filtered: int
    def __init__(self, seen: _Optional[int] = ..., sent: _Optional[int] = ..., lost: _Optional[_Mapping[str, int]] = ..., filtered: _Optional[int] = ...) -> None: ...

class LinkDrop(_message.Message):
    __slots__ = ("link", "ifindex", "by", "reason", "packets", "bytes", "last_ns")
    LINK_FIELD_NUMBER: _ClassVar[int]
    IFINDEX_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_NS_FIELD_NUMBER: _ClassVar[int]
    link: str
    ifindex: int
    by: str
    reason: str
    packets: int
    bytes: int
    last_ns: int
    def __init__(self, link: _Optional[str] = ..., ifindex: _Optional[int] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., packets: _Optional[int] = ..., bytes: _Optional[int] = ..., last_ns: _Optional[int] = ...) -> None: ...

class LinkDrops(_message.Message):
    __slots__ = ("since_ns", "absent", "found")
    SINCE_NS_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    since_ns: int
    absent: str
    found: _containers.RepeatedCompositeFieldContainer[LinkDrop]
    def __init__(self, since_ns: _Optional[int] = ..., absent: _Optional[str] = ..., found: _Optional[_Iterable[_Union[LinkDrop, _Mapping]]] = ...) -> None: ...

class History(_message.Message):
    __slots__ = ("oldest_ns", "rolled_until_ns", "dropped_until_ns", "dropped_frames", "bytes")
    OLDEST_NS_FIELD_NUMBER: _ClassVar[int]
    ROLLED_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FRAMES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    oldest_ns: int
    rolled_until_ns: int
    dropped_until_ns: int
    dropped_frames: int
    bytes: int
    def __init__(self, oldest_ns: _Optional[int] = ..., rolled_until_ns: _Optional[int] = ..., dropped_until_ns: _Optional[int] = ..., dropped_frames: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class FlowBatch(_message.Message):
    __slots__ = ("node", "time_ns", "records", "ports", "ledger", "clock", "history", "rules", "drops")
    class RulesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: str
        def __init__(self, key: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DROPS_FIELD_NUMBER: _ClassVar[int]
    node: str
    time_ns: int
    records: bytes
    ports: _containers.RepeatedCompositeFieldContainer[Port]
    ledger: Ledger
    clock: Clock
    history: History
    rules: _containers.ScalarMap[int, str]
    drops: LinkDrops
    def __init__(self, node: _Optional[str] = ..., time_ns: _Optional[int] = ..., records: _Optional[bytes] = ..., ports: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., ledger: _Optional[_Union[Ledger, _Mapping]] = ..., clock: _Optional[_Union[Clock, _Mapping]] = ..., history: _Optional[_Union[History, _Mapping]] = ..., rules: _Optional[_Mapping[int, str]] = ..., drops: _Optional[_Union[LinkDrops, _Mapping]] = ...) -> None: ...

class MovesRequest(_message.Message):
    __slots__ = ("follow", "vm", "namespace", "migration_uid")
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    VM_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_UID_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    vm: str
    namespace: str
    migration_uid: str
    def __init__(self, follow: _Optional[bool] = ..., vm: _Optional[str] = ..., namespace: _Optional[str] = ..., migration_uid: _Optional[str] = ...) -> None: ...

class MoveRecord(_message.Message):
    __slots__ = ("json", "complete", "migration_uid")
    JSON_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_UID_FIELD_NUMBER: _ClassVar[int]
    json: str
    complete: bool
    migration_uid: str
    def __init__(self, json: _Optional[str] = ..., complete: _Optional[bool] = ..., migration_uid: _Optional[str] = ...) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ("address", "kind", "interval_ms", "seconds", "mac", "network", "vlan")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VLAN_FIELD_NUMBER: _ClassVar[int]
    address: str
    kind: str
    interval_ms: float
    seconds: float
    mac: str
    network: str
    vlan: int
    def __init__(self, address: _Optional[str] = ..., kind: _Optional[str] = ..., interval_ms: _Optional[float] = ..., seconds: _Optional[float] = ..., mac: _Optional[str] = ..., network: _Optional[str] = ..., vlan: _Optional[int] = ...) -> None: ...

class ProbeBatch(_message.Message):
    __slots__ = ("seq", "tx_ns", "rx_ns", "duplicates", "error", "clock", "neighbour", "retransmits", "answered_by")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TX_NS_FIELD_NUMBER: _ClassVar[int]
    RX_NS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_FIELD_NUMBER: _ClassVar[int]
    RETRANSMITS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_BY_FIELD_NUMBER: _ClassVar[int]
    seq: _containers.RepeatedScalarFieldContainer[int]
    tx_ns: _containers.RepeatedScalarFieldContainer[int]
    rx_ns: _containers.RepeatedScalarFieldContainer[int]
    duplicates: int
    error: str
    clock: Clock
    neighbour: str
    retransmits: int
    answered_by: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, seq: _Optional[_Iterable[int]] = ..., tx_ns: _Optional[_Iterable[int]] = ..., rx_ns: _Optional[_Iterable[int]] = ..., duplicates: _Optional[int] = ..., error: _Optional[str] = ..., clock: _Optional[_Union[Clock, _Mapping]] = ..., neighbour: _Optional[str] = ..., retransmits: _Optional[int] = ..., answered_by: _Optional[_Iterable[str]] = ..., **kwargs) -> None: ...

class SourceHalfRequest(_message.Message):
    __slots__ = ("migration_uid", "mac", "network", "vlan")
    MIGRATION_UID_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VLAN_FIELD_NUMBER: _ClassVar[int]
    migration_uid: str
    mac: str
    network: str
    vlan: int
    def __init__(self, migration_uid: _Optional[str] = ..., mac: _Optional[str] = ..., network: _Optional[str] = ..., vlan: _Optional[int] = ...) -> None: ...

class SourceHalfReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class TrunkProofRequest(_message.Message):
    __slots__ = ("network", "vlans", "mtu")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VLANS_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    network: str
    vlans: _containers.RepeatedScalarFieldContainer[int]
    mtu: int
    def __init__(self, network: _Optional[str] = ..., vlans: _Optional[_Iterable[int]] = ..., mtu: _Optional[int] = ...) -> None: ...

class TrunkProofReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class CandidatesRequest(_message.Message):
    __slots__ = ("listen_seconds",)
    LISTEN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    listen_seconds: float
    def __init__(self, listen_seconds: _Optional[float] = ...) -> None: ...

class CandidatesReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class PlanRequest(_message.Message):
    __slots__ = ("network_json",)
    NETWORK_JSON_FIELD_NUMBER: _ClassVar[int]
    network_json: str
    def __init__(self, network_json: _Optional[str] = ...) -> None: ...

class PlanReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class ChangeRequest(_message.Message):
    __slots__ = ("change",)
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    change: str
    def __init__(self, change: _Optional[str] = ...) -> None: ...

class ChangeReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class PoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PoliciesReply(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class HandoverRequest(_message.Message):
    __slots__ = ("mac", "vlan", "last")
    MAC_FIELD_NUMBER: _ClassVar[int]
    VLAN_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    mac: str
    vlan: int
    last: bool
    def __init__(self, mac: _Optional[str] = ..., vlan: _Optional[int] = ..., last: _Optional[bool] = ...) -> None: ...

class HandoverReply(_message.Message):
    __slots__ = ("json", "connections")
    JSON_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    json: str
    connections: bytes
    def __init__(self, json: _Optional[str] = ..., connections: _Optional[bytes] = ...) -> None: ...
