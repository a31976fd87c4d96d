"""Models: which device, loading, and how the embedded ones were trained."""
