"""Redis and Valkey: the Streams transport, and the connection everything else of Redis is built on.

Works with Redis 6.2 and newer and with Valkey. Nothing in Redis is the only copy of anything: it may forget all of it
at any moment.
"""
