"""Eventmill runs Amazon States Language state machines durably on your own machine.

This package root holds only what a user's handlers import; the engine is reached through the
``eventmill`` command and ``eventmill.runtime``.
"""

from eventmill.handler import HandlerContext, HandlerError, handler

__all__ = ["HandlerContext", "HandlerError", "__version__", "handler"]

__version__ = "0.1.0"
