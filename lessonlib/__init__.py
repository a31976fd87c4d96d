"""lessonlib: the code behind a hands-on course on language models and the machines that serve them.

Importing this package imports nothing else: every heavy library is imported where it is used.
"""

__version__ = "0.1.0"
