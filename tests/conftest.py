"""Settings of the whole suite: CPU, offline, no bars."""

import os

os.environ.update({"LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "LESSONLIB_PROGRESS": "off"})
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
