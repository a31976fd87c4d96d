"""The fact base: models, GPUs, prices, engines and the claims of the source lesson, each with its source and date."""
