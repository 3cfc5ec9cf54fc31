"""The record in a SQL database: SQLite in this process, PostgreSQL for a fleet. Heavy to import, so import it late."""
