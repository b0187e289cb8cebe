// Stands in for the Go SDK of the Kubernetes provider: only the names that the provider's own code mentions.
module github.com/pulumi/pulumi-kubernetes/sdk/v4

go 1.24.7

require github.com/pulumi/pulumi/sdk/v3 v3.215.0
