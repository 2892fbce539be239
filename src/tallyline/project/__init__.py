"""The project folder: `tallyline.toml` and code, read into plain objects, every mistake told at once."""

from tallyline.project.project import FILE, Project
from tallyline.project.reader import load_project

__all__ = ["FILE", "Project", "load_project"]
