"""The resources Bascule speaks about: where each lives in the API.

Constants rather than discovery, so that a first request costs one round trip; `Cluster.kind_of` discovers the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API: `group` is empty for core/v1."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """`v1` or `group/version`, as in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, or of one object when `name` is given. Segments are percent-encoded."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)

    def of(self, name: str, namespace: str | None = None) -> dict[str, Any]:
        """The smallest object of this kind: apiVersion, kind and metadata."""
        metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


NETWORK = Kind("projectcalico.org", "v3", "networks", "Network", False)
IPPOOL = Kind("projectcalico.org", "v3", "ippools", "IPPool", False)
NAD = Kind("k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition", True)
VM = Kind("kubevirt.io", "v1", "virtualmachines", "VirtualMachine", True)
VMI = Kind("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", True)
VMIM = Kind("kubevirt.io", "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration", True)
NODE = Kind("", "v1", "nodes", "Node", False)
POD = Kind("", "v1", "pods", "Pod", True)
EVENT = Kind("", "v1", "events", "Event", True)
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", False)
CONFIGMAP = Kind("", "v1", "configmaps", "ConfigMap", True)
SERVICEACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount", True)
TIER = Kind("projectcalico.org", "v3", "tiers", "Tier", False)
NETWORKPOLICY = Kind("projectcalico.org", "v3", "networkpolicies", "NetworkPolicy", True)
GLOBALNETWORKPOLICY = Kind("projectcalico.org", "v3", "globalnetworkpolicies", "GlobalNetworkPolicy", False)
STAGEDNETWORKPOLICY = Kind("projectcalico.org", "v3", "stagednetworkpolicies", "StagedNetworkPolicy", True)
STAGEDGLOBALNETWORKPOLICY = Kind(
    "projectcalico.org", "v3", "stagedglobalnetworkpolicies", "StagedGlobalNetworkPolicy", False
)
STAGEDKUBERNETESNETWORKPOLICY = Kind(
    "projectcalico.org", "v3", "stagedkubernetesnetworkpolicies", "StagedKubernetesNetworkPolicy", True
)
KUBERNETESNETWORKPOLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True)
NETWORKSET = Kind("projectcalico.org", "v3", "networksets", "NetworkSet", True)
GLOBALNETWORKSET = Kind("projectcalico.org", "v3", "globalnetworksets", "GlobalNetworkSet", False)
POLICIES = (
    NETWORKPOLICY,
    GLOBALNETWORKPOLICY,
    STAGEDNETWORKPOLICY,
    STAGEDGLOBALNETWORKPOLICY,
    STAGEDKUBERNETESNETWORKPOLICY,
    KUBERNETESNETWORKPOLICY,
)
"""Every kind of policy."""
PVC = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True)
DATAVOLUME = Kind("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume", True)
CDICONFIG = Kind("cdi.kubevirt.io", "v1beta1", "cdiconfigs", "CDIConfig", False)
UPLOADTOKENREQUEST = Kind("upload.cdi.kubevirt.io", "v1beta1", "uploadtokenrequests", "UploadTokenRequest", True)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease", True)
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
TOKENREVIEW = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False)
SUBJECTACCESSREVIEW = Kind("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False)
SELFSUBJECTACCESSREVIEW = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False
)

KNOWN: dict[tuple[str, str], Kind] = {
    (kind.api_version, kind.kind): kind
    for kind in (
        NETWORK,
        IPPOOL,
        NAD,
        VM,
        VMI,
        VMIM,
        NODE,
        POD,
        EVENT,
        NAMESPACE,
        CONFIGMAP,
        LEASE,
        CRD,
        TOKENREVIEW,
        SUBJECTACCESSREVIEW,
        SELFSUBJECTACCESSREVIEW,
        SERVICEACCOUNT,
        TIER,
        *POLICIES,
        NETWORKSET,
        GLOBALNETWORKSET,
        PVC,
        DATAVOLUME,
        CDICONFIG,
        UPLOADTOKENREQUEST,
    )
}
