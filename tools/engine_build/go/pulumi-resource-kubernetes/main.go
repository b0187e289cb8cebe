// Command kubernetes is the Kubernetes provider that Pulumi's engine starts as pulumi-resource-kubernetes.
package main

import "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"

// The release that the module's version is a commit of.
const version = "4.25.0"

func main() {
	// A schema of name and version is enough: the engine asks the program's SDK for the rest.
	schema := `{"name": "kubernetes", "version": "` + version + `"}`
	provider.Serve("kubernetes", version, []byte(schema), []byte("{}"))
}
