"""Pulumi component resources, one class a module."""
