"""The client, and the command line, on a real server."""
