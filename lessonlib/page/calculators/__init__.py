"""Calculators over the tested functions of lessonlib.calc. Nothing is imported before it is used."""

from importlib import import_module

_WHERE = {
    "Answer": "base",
    "Calculator": "base",
    "TokenCalculator": "tokens",
    "ContextCalculator": "tokens",
    "VRAMCalculator": "memory",
    "KVCacheCalculator": "memory",
    "ThroughputCalculator": "speed",
    "RooflineCalculator": "speed",
    "APICostCalculator": "money",
    "CrossoverCalculator": "money",
    "SensitivityTable": "money",
    "ElectricityCalculator": "money",
    "ModelPicker": "picking",
    "GPUPicker": "picking",
    "SwitchCalculator": "switching",
}
CALCULATORS = tuple(name for name in _WHERE if name not in ("Answer", "Calculator"))
__all__ = [*_WHERE, "CALCULATORS"]


def __getattr__(name):
    if name in _WHERE:
        return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    if name == "GrowingCacheFigure":  # lives beside this package; found here too
        from lessonlib.page.growing_cache import GrowingCacheFigure

        return GrowingCacheFigure
    raise AttributeError(f"lessonlib.page.calculators has no {name!r}; it has {', '.join(__all__)}.")


def __dir__():
    return sorted(__all__)
