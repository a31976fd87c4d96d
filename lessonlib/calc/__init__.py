"""The arithmetic of the course. Standard library only: it runs anywhere and starts in milliseconds."""
