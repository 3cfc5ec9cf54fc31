"""The shapes of requests and answers: what the OpenAPI document says, and the first check of what comes in.

The names and rules are those of SPEC §3 and §6; ``control`` checks again whatever these let through.
"""
