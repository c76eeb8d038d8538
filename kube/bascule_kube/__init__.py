"""The thin client for Kubernetes: transport, list-watch, apply with dry run, exec credentials.

The only package that imports `kubernetes`, and it does so inside `Cluster.open`, because that import costs half a
second and the console must paint first. Objects are plain dicts everywhere.
"""

from bascule_kube.cluster import Cluster
from bascule_kube.informer import Informer
from bascule_kube.kinds import Kind

__all__ = ["Cluster", "Informer", "Kind"]
