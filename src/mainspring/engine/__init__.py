"""The loops: dispatcher, worker, relay. They know ports, never a driver; what they write stands in ``moves``."""
