"""The REST API, in this process and as a process of its own, on SQLite and PostgreSQL."""
