"""Policies: the tree of tiers, policies and rules, and everything that is done about them."""
