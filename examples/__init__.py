"""Programs to read, run and copy from; the tests run them too."""
