"""Whether a model of the Hugging Face hub can be opened: asked in seconds, before anything is downloaded."""

from __future__ import annotations

import os


class ModelNotAvailable(ValueError):
    """The model asked for cannot be opened; the message names it, the reason and the way out."""


def offline() -> bool:
    """Whether this process may not ask the hub (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE, as the hub client reads them)."""
    from huggingface_hub import constants

    asked = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return constants.HF_HUB_OFFLINE or asked.lower() in ("1", "true", "yes", "on")


def must_be_local(hub_id: str, embedded: list[str]) -> bool:
    """True when `hub_id` is to be read from the hub cache of this machine, False when the hub has it and answers.

    ModelNotAvailable when neither: offline and not downloaded, no answer, no such model, no access, or no weights that
    are safe to open. `embedded` are the names to suggest instead."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    instead = f"use an embedded model ({', '.join(embedded)})"
    try:
        cached = isinstance(try_to_load_from_cache(hub_id, "config.json"), str)
        if offline():
            if cached:
                return True
            raise ModelNotAvailable(
                f"The model {hub_id!r} is not on this machine and the course runs offline (HF_HUB_OFFLINE): set "
                f"HF_HUB_OFFLINE=0 before you start Python, or {instead}."
            )
        info = HfApi().model_info(hub_id, timeout=10)
    except ModelNotAvailable:
        raise
    except HFValidationError:
        raise ModelNotAvailable(f"{hub_id!r} is no hub id: write owner/name as the hub shows it.") from None
    except GatedRepoError:
        raise ModelNotAvailable(
            f"The hub gives {hub_id!r} only to those who accepted its terms: do so on its page and set HF_TOKEN, or "
            f"{instead}."
        ) from None
    except RepositoryNotFoundError:
        raise ModelNotAvailable(
            f"The hub has no model {hub_id!r}, or it is private: check the spelling of owner/name, or set HF_TOKEN."
        ) from None
    except Exception as error:  # no connection, a time-out, a 5xx answer: whichever HTTP library is below
        if cached:
            return True
        status = getattr(error.response, "status_code", None) if isinstance(error, HfHubHTTPError) else None
        if status in (401, 403):
            raise ModelNotAvailable(
                f"The hub refuses access to {hub_id!r} (status {status}): check HF_TOKEN, or {instead}."
            ) from None
        answer = f"answers with status {status}" if status else "cannot be reached"
        raise ModelNotAvailable(f"The hub {answer}, so {hub_id!r} is not available: try later, or {instead}.") from None
    files = {file.rfilename for file in info.siblings or []}
    if files and not any(file.endswith(".safetensors") for file in files):
        raise ModelNotAvailable(
            f"The model {hub_id!r} has no safetensors weights on the hub, and pickle files are never opened: choose "
            "another copy of it."
        )
    return False
