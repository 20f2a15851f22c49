"""Publishing: a dataset or student from a run folder to a repository on the Hugging Face Hub."""

from cotforge.hub.push import push as push
from cotforge.hub.pushed import Pushed as Pushed

__all__ = ["Pushed", "push"]
