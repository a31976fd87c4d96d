"""The maker's side: one hand-edited source a notebook, built, released and linted."""
