import click.core, inspect, pkgutil

print(click.core.__loader__, click.core.__spec__.loader, pkgutil.get_data("click", "core.py")[:20])
print(click.core.push_context("context"), click.core.push_context.__module__, inspect.signature(click.core.push_context))
