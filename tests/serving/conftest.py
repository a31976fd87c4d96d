"""A node with two engines of the task, as state machines."""

import pytest

from lessonlib.labs import deployment_plan as task
from lessonlib.serving.sleep_node import Node, complete


@pytest.fixture(scope="session")
def models():
    return task.models()


@pytest.fixture
def node(models):
    """The task's server with "coding" awake and "documents" cold, and no time used."""
    made = Node(task.server())
    made.add("coding", complete(task.engine(models, "qwen3-coder-next", 4, [0, 1], 32_768, 4), models))
    made.add("documents", complete(task.engine(models, "llama-3.3-70b", 4, [0, 1], 16_384, 2), models))
    made.step(("coding", "start"), 0.0)
    return made
