"""An assembly line of plain callables: build a graph, run it, read what each node took in and gave out.

It knows nothing of metrics and imports nothing but the standard library.

>>> from tallyline.graph import Graph, run
>>> letters = []
>>> report = run(Graph("abc", str.upper, letters.append))
>>> letters
['A', 'B', 'C']
>>> print(report)
 - str in=1 out=3 [done]
 - upper in=3 out=3 [done]
 - append in=3 out=0 [done]
"""

from tallyline.graph.draw import FORMATS, draw
from tallyline.graph.node import Node, node
from tallyline.graph.report import NodeReport, Report, State
from tallyline.graph.run import run
from tallyline.graph.services import Service, Services, service
from tallyline.graph.structure import Cursor, Graph

__all__ = [
    "FORMATS",
    "Cursor",
    "Graph",
    "Node",
    "NodeReport",
    "Report",
    "Service",
    "Services",
    "State",
    "draw",
    "node",
    "run",
    "service",
]
