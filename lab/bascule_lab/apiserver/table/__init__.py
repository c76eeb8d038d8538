"""Tables (meta.k8s.io/v1): the columns that `kubectl get` shows, computed by the server."""
