"""Hostile and broken submissions to a small assignment, each with its safe outcome."""
