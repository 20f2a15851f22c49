"""Local teachers that look at the pictures they are sent, to rehearse a pipeline before paying."""

from cotforge.simulate.server import HOST, serve_teachers
from cotforge.simulate.server_process import Server
from cotforge.simulate.simulated_teacher import Role

__all__ = ["HOST", "Role", "Server", "serve_teachers"]
