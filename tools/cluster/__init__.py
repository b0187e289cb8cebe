"""The bundled local cluster: a real single-node Kubernetes on a Debian machine, run as root.

Owns its programs, processes, network, images, volumes and front door. Knows nothing of users and
scenes: what runs on the cluster comes through its kubeconfig context, as on any other cluster.
"""
