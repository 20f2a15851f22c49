"""What every test may count on: no network, no telemetry, and the same examples at every run."""

import os

from hypothesis import settings

os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", NO_PROXY="127.0.0.1,localhost", no_proxy="127.0.0.1,localhost")

settings.register_profile("cotforge", deadline=None, derandomize=True, database=None)
settings.load_profile("cotforge")
