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
from tallyline.graph.files import (
    read_csv,
    read_json_lines,
    read_parquet,
    write_csv,
    write_json_lines,
    write_parquet,
)
from tallyline.graph.node import Node, OnError, node, over
from tallyline.graph.nodes import (
    batch,
    dedupe,
    group_reduce,
    join,
    keep,
    limit,
    pretty,
    rate_limit,
    reduce,
    rename,
    set_fields,
    sort,
    tee,
    unbatch,
)
from tallyline.graph.observers import json_lines, plain, prometheus, together
from tallyline.graph.pages import Pages
from tallyline.graph.report import NodeReport, Report, Skipped, State
from tallyline.graph.run import run
from tallyline.graph.services import Service, Services, asking_like, service, wanted_services, wrapped
from tallyline.graph.structure import Cursor, Graph
from tallyline.graph.time_limit import in_time

__all__ = [
    "FORMATS",
    "Cursor",
    "Graph",
    "Node",
    "NodeReport",
    "OnError",
    "Pages",
    "Report",
    "Service",
    "Services",
    "Skipped",
    "State",
    "asking_like",
    "batch",
    "dedupe",
    "draw",
    "group_reduce",
    "in_time",
    "join",
    "json_lines",
    "keep",
    "limit",
    "node",
    "over",
    "plain",
    "pretty",
    "prometheus",
    "rate_limit",
    "read_csv",
    "read_json_lines",
    "read_parquet",
    "reduce",
    "rename",
    "run",
    "service",
    "set_fields",
    "sort",
    "tee",
    "together",
    "unbatch",
    "wanted_services",
    "wrapped",
    "write_csv",
    "write_json_lines",
    "write_parquet",
]
