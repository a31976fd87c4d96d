"""Checks that teach: one module a topic over `core`. See `core` for how an exercise is registered and scored."""

from .core import CheckFailed, check_for, exercise, expect, property_of, run_check, run_properties, score_properties

__all__ = [
    "CheckFailed", "check_for", "exercise", "expect", "property_of", "run_check", "run_properties", "score_properties",
]  # fmt: skip
