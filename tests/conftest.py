"""Settings of the whole suite: CPU, offline, no bars."""

import os

os.environ.update({"LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "LESSONLIB_PROGRESS": "off"})
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take the cores from the next process
