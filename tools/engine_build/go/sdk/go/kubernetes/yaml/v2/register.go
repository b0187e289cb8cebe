// Package v2 answers for YAML files and Helm charts inside a program, which this build leaves out.
package v2

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// RegisterResource refuses: the fleet's program declares every object itself.
func RegisterResource(
	_ *pulumi.Context, apiVersion, kind, name string, _ pulumi.Input, _ ...pulumi.ResourceOption,
) (pulumi.CustomResource, error) {
	return nil, fmt.Errorf(
		"%s/%s %s: this build of the Kubernetes provider has no Helm charts and YAML files as resources: "+
			"use the released provider", apiVersion, kind, name)
}
