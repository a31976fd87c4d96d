"""What a lesson page shows: device and versions, guesses, checks, hints, figures, tables, quizzes, calculators, progress.

Every function shows its result twice: as HTML and as plain text, so that a page reads in any viewer and by any reader.
Outside a notebook the plain text is printed. Nothing is imported before it is used."""

from importlib import import_module

_WHERE = {
    "start": "bootstrap",
    "check": "checking",
    "hints": "checking",
    "hand_in": "handing_in",
    "predict": "guess",
    "reveal": "guess",
    "show": "figures",
    "svg": "figures",
    "table": "figures",
    "axes": "figures",
    "quiz": "quizzes",
    "compare": "records",
    "claims": "corrected",
    "corrections": "corrected",
    "progress": "journal",
    "TokenCalculator": "calculators",
    "ContextCalculator": "calculators",
    "KVCacheCalculator": "calculators",
    "VRAMCalculator": "calculators",
    "ThroughputCalculator": "calculators",
    "RooflineCalculator": "calculators",
    "APICostCalculator": "calculators",
    "CrossoverCalculator": "calculators",
    "SensitivityTable": "calculators",
    "ElectricityCalculator": "calculators",
    "ModelPicker": "calculators",
    "GPUPicker": "calculators",
    "SwitchCalculator": "calculators",
    "GrowingCacheFigure": "growing_cache",
    "BitViewer": "bit_viewer",
    "AttentionMap": "attention_map",
    "NextTokenFigure": "next_token",
    "LossCurve": "loss_curve",
    "TrainingCostCalculator": "training_cost",
    "RouterExplorer": "router_explorer",
    "SamplerCalculator": "sampler",
    "SelectionExplorer": "selection_explorer",
}
_MODULES = (
    "attention_map",
    "bootstrap",
    "calculators",
    "checking",
    "figures",
    "growing_cache",
    "guess",
    "journal",
    "quizzes",
    "records",
)

__all__ = [*_WHERE, *_MODULES]


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"lessonlib.page has no {name!r}; it has {', '.join(__all__)}.")


def __dir__():
    return sorted(__all__)
