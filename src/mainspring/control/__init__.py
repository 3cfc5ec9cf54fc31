"""What people ask for: create, pause, trigger, cancel, redrive, explain, list. Thin calls over ``moves``."""
