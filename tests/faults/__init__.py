"""Faults with real processes: what is killed, frozen, cut off and lied to here is the installed product.

A `Trial` starts dispatchers and workers through the command line, on a real database. Handlers keep a ledger of their
own; afterwards ``checker`` compares it with the job specifications and with what `mainspring export` says. Which
fault is tried where is told in docs/operate/faults.md.
"""
