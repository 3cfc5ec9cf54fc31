"""Requests a second and their latency, against a real server on PostgreSQL with a history of millions."""
