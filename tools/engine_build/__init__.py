"""Where do `pulumi` and its Kubernetes provider come from, on a machine that has none?

Owns the choice (the machine's own, else ours) and the Go module of ours. Leaves out how Go is run
(tools/go_build), and what is done where neither can be had (tools/deploy).
"""
