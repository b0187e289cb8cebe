"""Kubernetes objects of pools and users as plain typed dicts."""
