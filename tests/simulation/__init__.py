"""Seeded runs with faults, checked by a naive auditor."""
