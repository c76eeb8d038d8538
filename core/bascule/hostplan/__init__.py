"""What should this node look like, and which steps lead there: Network x Node x observed links, pure.

`desire()` says what should be, `plan()` lists the steps from what is observed, `simulate.run()` is the model that the
tests hold both against. The agent's segment drivers carry the steps out (docs/design/hostplan.md).
"""
