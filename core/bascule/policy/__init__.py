"""Policy: documents and endpoints in, verdicts with their path out; and the same as rows and sets for the data plane.

`model.PolicySet` reads documents, `endpoints.endpoints_of` finds the NICs; `verdict.Judge` decides one connection and
`explain` puts its path into words; `compile.Compiler` keeps rows and address sets for the port programs up to date;
`whatif.WhatIf` judges recorded flows by the thousand and `forecast` compares two policies on them. Semantics:
reference/calico-l2.md section 7, docs/design/policy.md. Nothing is imported here: lint needs the model without numpy.
"""
