"""The instructor's side: grade a class's submissions with nbgrader's own steps, and see the result at a glance."""
