"""Local teachers that look at the pictures they are sent, to rehearse a pipeline before paying."""

from cotforge.simulate.process import Server
from cotforge.simulate.server import Role, serve

__all__ = ["Role", "Server", "serve"]
