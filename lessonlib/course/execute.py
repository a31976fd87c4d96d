"""Running a notebook: a fresh kernel in an empty folder, on the CPU, offline."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

TIMEOUT = 300  # seconds a cell


def execute(notebook, allow_errors: bool = False, timeout: int = TIMEOUT, extra: dict | None = None) -> None:
    """Execute `notebook` in place. RuntimeError names the cell that failed (unless `allow_errors`) or ran too long.

    `extra` adds to the kernel's environment."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError
    from traitlets.config import Config

    environment = {
        **os.environ, "LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1",
        "LESSONLIB_PROGRESS": "off", "LESSON_FACTS": "off",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait would slow the rest of a busy machine
        **(extra or {}),
    }  # fmt: skip
    transport = "ipc" if os.name == "posix" else "tcp"
    with tempfile.TemporaryDirectory() as folder:
        # Sockets stand beside the connection file, so both sides need its whole path.
        file = str(Path(folder) / "kernel.json")
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            config=Config({"KernelManager": {"transport": transport, "connection_file": file}}),
            timeout=timeout,
            allow_errors=allow_errors,
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        try:
            client.execute(env=environment)
        except CellTimeoutError:
            raise RuntimeError(f"a cell ran longer than {timeout} s: {_running(notebook)}") from None
        except CellExecutionError as error:
            raise RuntimeError(f"a cell failed: {_running(notebook)}\n{error.ename}: {error.evalue}") from None


def _running(notebook) -> str:
    """The id and first lines of the cell that was running."""
    failed = [c for c in notebook.cells if any(o.output_type == "error" for o in c.get("outputs", []))]
    started = [c for c in notebook.cells if c.get("execution_count")]
    cell = (failed or started or notebook.cells)[-1]
    return f"{cell.id}: {' / '.join(cell.source.splitlines()[:3])}"
