"""The cloud side of an environment: Alibaba Cloud components, one class a module."""
