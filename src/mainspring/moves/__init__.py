"""Every change of state, each written once as a plain function of one transaction (`Tx`).

The loops in ``engine`` and the calls in ``control`` run these; no store knows the state machine, and nothing else
writes to one. What to do is decided by the pure functions of ``schedule``; here it is recorded.
"""
