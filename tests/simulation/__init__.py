"""A whole cluster in one process and in virtual time: seeded workload, seeded faults, and an auditor who trusts nobody.

``python -m tests.simulation --seeds 1000`` runs many; a failing seed is the bug report.
"""
