"""Benchmarks: run by `antiphon bench`, from a checkout."""
