"""From a resolved topology to a plan: what each AWS noun becomes in namespaces, routes, filters and daemons."""

from testbed.compile.lowerings import LOWERINGS, compile_plan

__all__ = ["LOWERINGS", "compile_plan"]
