"""Development programs around the product: a local cluster, a base image, `make up`."""
