"""Values and the state machine: standard library only, no input or output, no clock."""
