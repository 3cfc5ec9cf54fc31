"""One folder per outside thing. Each adapter keeps the promises of its port and passes the port's contract suite."""
