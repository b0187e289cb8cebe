"""Security rules for stacks of this project: a Pulumi policy pack, and a check of rendered YAML.

It stands alone, so that a platform team can put the folder elsewhere.
"""
