"""Server-side apply: field sets, merging by schema, and who owns which field (metadata.managedFields).

The algebra is that of sigs.k8s.io/structured-merge-diff v4, on documents of one version: here no CRD has two.
"""
