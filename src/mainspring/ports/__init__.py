"""What the engine asks of the outside, as Protocols. Adapters keep the promises; contract suites check that they do."""
