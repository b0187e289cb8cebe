"""`make up` and `make down`: choose engine and cluster, then run the product's own commands.

Owns the choice and the order of steps. Leaves out how each step works: `fleet`, `tools.cluster`,
`tools.base_image` and `pulumi` do that, each runnable by hand.
"""
