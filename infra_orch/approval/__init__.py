"""Approvals: who said yes to what a plan does, recorded in git, and whether a later plan does no more than that."""
