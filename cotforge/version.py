"""The version of cotforge."""

__version__ = "0.1.0"
