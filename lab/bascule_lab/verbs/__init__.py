"""The lab's verbs, one module for each family."""
